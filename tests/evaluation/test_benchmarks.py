"""Reading a benchmark's parquet file, and one clear sentence for each way in which it cannot be read."""

import gzip
import hashlib
import json

import pytest

from g2rl.evaluation.__main__ import main
from g2rl.evaluation.benchmarks import load_benchmark

JSON_LINES = '{"question": "1 + 1?", "answer": "so #### 2"}\n{"question": "2 + 2?", "answer": "#### 4"}\n'
BOXES = json.dumps([{"prompt": "1 + 1?", "solution": r"\boxed{2}"}, {"prompt": "2 + 2?", "solution": r"\boxed{4}"}])
CHOICES = {"problem": "Which?", "choices": ["a", "b"], "answer": "B"}


def test_rows_become_problems(write_benchmark, sums, tmp_path):
    path = write_benchmark(sums)
    for benchmark in (load_benchmark("sums", tmp_path), load_benchmark(str(path), tmp_path / "elsewhere")):
        assert benchmark.name == "sums"
        assert benchmark.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        third = benchmark.problems[3]
        assert (third.id, third.gold, third.subject, third.level) == ("3", "6", "odd", "0")
        assert third.messages == [{"role": "user", "content": "What is 3 + 3?"}]
        assert third.num_choices is None


def test_optional_fields_may_be_absent(write_benchmark, sums, tmp_path):
    for row in sums:
        row["extra_info"] = {"index": row["extra_info"]["index"], "num_choices": 4}
    write_benchmark(sums)
    first = load_benchmark("sums", tmp_path).problems[0]
    assert (first.subject, first.level, first.num_choices) == (None, None, 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("math50", "Unknown benchmark 'math50'; did you mean 'math500'"),
        ("AIME-25", "did you mean 'aime25'"),
        ("sumz", "did you mean 'sums'"),
        ("quux", "there are aime24, aime25, amc"),
        ("aime25", "prepare it with `python -m g2rl.data aime25 --out"),
        ("gsm8k_test", "prepare it with `python -m g2rl.data gsm8k --out"),
        ("no/such.parquet", "no/such.parquet does not exist"),
    ],
)
def test_unknown_benchmark_suggests_the_nearest(write_benchmark, sums, tmp_path, name, message):
    write_benchmark(sums)
    with pytest.raises(ValueError, match=message):
        load_benchmark(name, tmp_path)


def test_missing_column_is_named_with_its_file_and_row(write_benchmark, sums, tmp_path):
    path = write_benchmark([{k: v for k, v in row.items() if k != "prompt"} for row in sums])
    with pytest.raises(
        ValueError, match=f"{path}, row 0: no 'problem' \\(problem, question, prompt\\); it has data_source"
    ):
        load_benchmark("sums", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward_model": {"style": "rule", "ground_truth": None}}, "row 5: reward_model.ground_truth is missing"),
        ({"prompt": []}, "row 5: prompt is missing"),
        ({"data_source": None}, "row 5: data_source is missing"),
        ({"extra_info": None}, "row 5: extra_info.index is missing"),
        ({"extra_info": {"index": 2}}, "rows 2 and 5 have the same extra_info.index, 2"),
    ],
)
def test_bad_row_is_named(write_benchmark, sums, tmp_path, change, message):
    sums[5] |= change
    write_benchmark(sums)
    with pytest.raises(ValueError, match=message):
        load_benchmark("sums", tmp_path)


def test_empty_file_is_an_error(write_benchmark, sums, tmp_path):
    import pyarrow.parquet

    path = write_benchmark(sums)
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).slice(0, 0), path)
    with pytest.raises(ValueError, match="has no rows"):
        load_benchmark("sums", tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine.jsonl", JSON_LINES.replace("\n", "\r\n").encode("utf-8-sig")),
        ("mine.jsonl.gz", gzip.compress(JSON_LINES.encode(), mtime=0)),
        ("mine.json", BOXES.encode()),
        ("mine.csv", b"problem,final_answer\n1 + 1?,2\n2 + 2?,4\n"),
    ],
    ids=["jsonl", "gz", "json", "csv"],  # not their contents, with the second in which gzip made one: xdist compares
)
def test_a_file_of_the_users_own_is_read_as_for_training(tmp_path, name, content, capsys):
    (tmp_path / name).write_bytes(content)
    benchmark = load_benchmark(str(tmp_path / name), tmp_path)
    assert benchmark.name == "mine"
    assert [(p.id, p.gold, p.data_source) for p in benchmark.problems] == [("0", "2", "math"), ("1", "4", "math")]
    system, user = benchmark.problems[1].messages
    assert (user["content"], "boxed" in system["content"]) == ("2 + 2?", True)
    assert f"{name}: problem from" in capsys.readouterr().err


def test_columns_and_system_prompt_of_a_file_of_the_users_own(tmp_path, write_benchmark, sums):
    path = write_benchmark([{"q": "1 + 1?", "a": 2, "answer": "of another column"}], "raw")
    columns = {"problem": "q", "answer": "a"}
    (problem,) = load_benchmark(str(path), tmp_path, columns, "").problems
    assert (problem.messages, problem.gold) == ([{"role": "user", "content": "1 + 1?"}], "2")
    prompts = [load_benchmark(str(path), tmp_path, columns, prompt).sha256 for prompt in ("", "Be brief.")]
    assert prompts[0] != prompts[1]  # samples of another prompt do not go on
    write_benchmark(sums)
    with pytest.raises(ValueError, match=r"sums\.parquet holds whole prompts; --system-prompt is for"):
        load_benchmark("sums", tmp_path, None, "Be brief.")


def test_rows_name_their_verifier(tmp_path):
    tests = {"problem": "Print 1.", "tests": [{"stdin": "", "stdout": "1"}]}
    for name, row, source in (("choices", CHOICES, "choice"), ("programs", tests, "code")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
        (problem,) = load_benchmark(str(tmp_path / f"{name}.jsonl"), tmp_path).problems
        assert problem.data_source == source
    assert json.loads(problem.gold)["tests"] == tests["tests"] and "fenced code block" in problem.messages[0]["content"]


def test_an_unreadable_file_is_one_error_with_its_row(tmp_path, capsys):
    (tmp_path / "mine.jsonl").write_text('{"problem": "1 + 1?", "answer": "2", "solution": "\\\\boxed{3}"}')
    with pytest.raises(SystemExit):
        main(["MODEL", str(tmp_path / "mine.jsonl")])
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/mine.jsonl, row 0: answer and solution disagree")
