"""Programs: judged in the sandbox, each once, with the verdicts on disk as they come; by difficulty, without maj@k."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from g2rl.data.generated import distinct_problems
from g2rl.data.programs import in_a_block, line_by_line, one_expression
from g2rl.data.tests_files import store_long
from g2rl.evaluation.benchmarks import BENCHMARKS, load_benchmark
from g2rl.evaluation.metrics import validation_metrics
from g2rl.evaluation.samples import Sample
from g2rl.evaluation.scoring import score
from g2rl.evaluation.verdicts import CodeJudge, VerdictLog, program_id
from g2rl.verify import Verdict
from g2rl.verify.code import CodePool, CodeSettings

FACTS = asdict(CodeSettings())
PROBLEMS = distinct_problems("programs", "val", 4, seed=0)


@pytest.fixture(scope="module")
def pool():
    with CodePool(1, CodeSettings(timeout_s=1.0)) as pool:
        yield pool


@pytest.fixture
def benchmark(write_benchmark, tmp_path):
    rows = [
        {
            "data_source": "livecodebench",
            "prompt": [{"role": "user", "content": problem.question}],
            "reward_model": {"style": "rule", "ground_truth": problem.gold},
            "extra_info": {"index": number, "subject": ("easy", "hard")[number % 2]},
        }
        for number, problem in enumerate(PROBLEMS)
    ]
    write_benchmark(rows, "livecodebench")
    return load_benchmark("livecodebench", tmp_path)


def samples(problem):
    """Right, right in another way, wrong, an exception, no program, and right but cut off."""
    right = in_a_block(line_by_line(PROBLEMS[problem]))
    texts = [
        right,
        in_a_block(one_expression(PROBLEMS[problem])),
        right.replace("return ", "return 1+"),
        in_a_block("    return a.b"),
        "I do not know.",
        right + "\n",
    ]
    ends = ["stop"] * 5 + ["length"]
    return [Sample(str(problem), n, text, [1], end) for n, (text, end) in enumerate(zip(texts, ends, strict=True))]


def every_sample():
    return [sample for problem in range(4) for sample in samples(problem)]


def test_result_of_known_programs(benchmark, pool, tmp_path):
    judge = CodeJudge(pool, FACTS, tmp_path / "run/verdicts.jsonl")
    result = score(benchmark, every_sample(), num_samples=6, seed=0, pool=None, code=judge)
    assert set(result["metrics"]) == {"pass@1", "pass@2", "pass@4", "pass@6"}
    assert result["metrics"]["pass@1"] == pytest.approx({"mean": 2 / 6, "low": 2 / 6, "high": 2 / 6})
    assert {name: part["num_problems"] for name, part in result["by_subject"].items()} == {"easy": 2, "hard": 2}
    first = result["problems"][0]
    assert first["correct"] == [True, True, False, False, False, False] and "answer_classes" not in first
    assert first["answers"][4:] == [None, None] and len({*first["answers"][:4]}) == 4
    assert first["answers"][0] == program_id(samples(0)[0].response.split("\n", 1)[1].removesuffix("\n```"))
    kinds = {"right": 8, "wrong": 4, "error": 4, "no_answer": 4, "truncated": 4}
    assert result["judge"] == {**FACTS, "verdicts": kinds}
    assert result["cut_off_but_right"] == pytest.approx(1 / 6)


class Refusing:
    def submit(self, response, gold):
        raise AssertionError("judged again")


def test_no_program_is_judged_twice_and_other_limits_are_judged_anew(benchmark, pool, tmp_path):
    path = tmp_path / "verdicts.jsonl"
    first = score(benchmark, every_sample(), num_samples=6, seed=0, pool=None, code=CodeJudge(pool, FACTS, path))
    lines = path.read_text().splitlines()
    assert len(lines) == len({json.loads(line)["hash"] for line in lines}) == 24
    again = CodeJudge(Refusing(), FACTS, path)
    assert score(benchmark, every_sample(), num_samples=6, seed=0, pool=None, code=again) == first
    with path.open("ab") as file:
        file.write(b'{"hash": "cut')
    assert score(benchmark, every_sample(), num_samples=6, seed=0, pool=None, code=again) == first
    assert path.read_text().splitlines() == lines
    other = CodeJudge(Refusing(), FACTS | {"timeout_s": 2.0}, path)
    with pytest.raises(AssertionError, match="judged again"):
        score(benchmark, every_sample(), num_samples=6, seed=0, pool=None, code=other)


def test_equal_responses_of_one_problem_are_judged_once(benchmark, pool, tmp_path):
    path = tmp_path / "verdicts.jsonl"
    right = in_a_block(line_by_line(PROBLEMS[0]))
    same = [Sample(str(problem), n, right, [1], "stop") for problem in range(4) for n in range(8)]
    result = score(benchmark, same, num_samples=8, seed=0, pool=None, code=CodeJudge(pool, FACTS, path))
    assert len(path.read_text().splitlines()) == 4
    assert result["problems"][0]["correct"] == [True] * 8


def test_tests_in_a_file_are_found_beside_the_benchmark(write_benchmark, pool, tmp_path):
    numbers = [{"stdin": f"{n} " * 500, "stdout": str(500 * n)} for n in range(60)]
    gold = store_long(json.dumps({"tests": numbers}), tmp_path)
    row = {
        "data_source": "code",
        "prompt": [{"role": "user", "content": "Print the sum."}],
        "reward_model": {"style": "rule", "ground_truth": gold},
        "extra_info": {"index": 0},
    }
    write_benchmark([row], "sums")
    program = "```python\nprint(sum(map(int, input().split())))\n```"
    both = [Sample("0", 0, program, [1], "stop"), Sample("0", 1, program.replace("sum", "max"), [1], "stop")]
    judge = CodeJudge(pool, FACTS, tmp_path / "verdicts.jsonl")
    result = score(load_benchmark("sums", tmp_path), both, num_samples=2, seed=0, pool=None, code=judge)
    assert result["problems"][0]["correct"] == [True, False]
    (file,) = tmp_path.glob("tests/*/*")
    file.unlink()
    with pytest.raises(ValueError, match=r"sums\.parquet, row 0: its tests, .*json\.gz, are missing; copy them along"):
        load_benchmark("sums", tmp_path)


SCORING = """
import sys
from pathlib import Path
from g2rl.evaluation.verdicts import CodeJudge, Program
from g2rl.verify.code import CodePool

slow = "```python\\nimport time\\nt = time.process_time()\\nwhile time.process_time() < t + 0.2: pass\\nprint({})\\n```"
with CodePool(1) as pool:
    programs = [Program(slow.format(n % 2), '{"tests": [{"stdin": "%d", "stdout": "1"}]}' % n) for n in range(20)]
    verdicts = CodeJudge(pool, {}, Path(sys.argv[1])).judge(programs, Path("."))
print("".join(str(int(verdict.correct)) for verdict in verdicts))
"""


def test_a_scoring_that_was_killed_goes_on(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    command = [sys.executable, "-c", SCORING, str(path)]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not path.exists() or path.read_bytes().count(b"\n") < 4:
        assert killed.poll() is None
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    before = path.read_text().splitlines()
    assert 4 <= len(before) < 20
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "01" * 10 + "\n"
    after = path.read_text().splitlines()
    assert after[: len(before)] == before and len({json.loads(line)["hash"] for line in after}) == len(after) == 20


def test_a_damaged_line_of_verdicts_is_named(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    with VerdictLog(path, FACTS) as log:
        log.add("a", Verdict(False, "program", "error"))
        assert log.get("a") == Verdict(False, program_id("program"), "error") and log.get("b") is None
    with VerdictLog(path, FACTS) as log:
        assert log.get("a") == Verdict(False, program_id("program"), "error")
    path.write_text(path.read_text() + '{"hash": 1}\n')
    with pytest.raises(ValueError, match=r"verdicts\.jsonl, line 2: not a verdict; remove the line"):
        VerdictLog(path, FACTS)


def test_validation_has_no_majority_of_programs():
    sources, ids = ["programs", "programs", "math", "math"], ["a", "a", "b", "b"]
    metrics = validation_metrics(
        sources,
        ids,
        [True, False, True, False],
        ["x", "y", "1", "2"],
        equal_many=lambda pairs: [False] * len(pairs),
        without_majority={"programs"},
    )
    assert set(metrics) == {
        f"val/{name}" for name in ("programs/pass@1", "programs/pass@2", "math/pass@1", "math/pass@2", "math/maj@2")
    }


def test_every_code_benchmark_has_a_name():
    names = {"livecodebench", "humaneval", "humaneval_plus", "mbpp", "mbpp_sanitized", "codeforces"}
    assert names <= BENCHMARKS.keys() and "deepcoder" not in BENCHMARKS
    with pytest.raises(ValueError, match=r"prepare it with `python -m g2rl\.data livecodebench --out"):
        load_benchmark("livecodebench", Path("nowhere"))
