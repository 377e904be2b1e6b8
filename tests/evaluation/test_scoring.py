"""From samples to a result file: verdicts, equal answers, groups, intervals."""

import json

import numpy as np
import pytest

from g2rl.evaluation.benchmarks import load_benchmark
from g2rl.evaluation.equivalence import answers_equal, equal_in_pool
from g2rl.evaluation.metrics import majority_at_k
from g2rl.evaluation.samples import Sample
from g2rl.evaluation.scoring import score, versions, write_json
from g2rl.verify import VerifierPool


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(num_workers=1, timeout_s=5.0) as pool:
        yield pool


def sample(problem, number, answer, *, finish="stop"):
    text = "no idea" if answer is None else f"So it is \\boxed{{{answer}}}."
    return Sample(str(problem), number, text, [1] * (number + 1), finish)


def test_result_of_known_samples(write_benchmark, sums, tmp_path, pool):
    write_benchmark(sums[:4])  # answers 0, 2, 4, 6; subjects even, odd, even, odd; level 0
    answers = {
        0: ["0", "0.0", "9", "9"],  # right and wrong tie: maj 1/2
        1: ["2", "7", "7.0", None],  # 7 and 7.0 are one answer: maj 0
        2: ["\\frac{8}{2}", "4", None, None],  # maj 1
        3: [None, None, None, None],
    }
    samples = [sample(p, i, answer) for p, row in answers.items() for i, answer in enumerate(row)]
    result = score(load_benchmark("sums", tmp_path), samples[::-1], num_samples=4, seed=0, pool=pool)

    means = {name: value["mean"] for name, value in result["metrics"].items()}
    pass_at_2 = np.mean([1 - 1 / 6, 1 / 2, 1 - 1 / 6, 0])
    assert means == pytest.approx(
        {"pass@1": 5 / 16, "pass@2": pass_at_2, "pass@4": 3 / 4, "maj@2": means["maj@2"], "maj@4": 1.5 / 4}
    )
    assert all(value["low"] <= value["mean"] <= value["high"] for value in result["metrics"].values())
    assert result["problems"][0]["correct"] == [True, True, False, False]
    assert result["problems"][1]["answers"] == ["2", "7", "7.0", None]
    assert result["by_subject"]["even"]["num_problems"] == 2
    assert result["by_subject"]["even"]["metrics"]["pass@1"]["mean"] == 0.5
    assert result["by_subject"]["odd"]["metrics"]["pass@1"]["mean"] == 0.125
    assert result["by_level"]["0"]["metrics"]["maj@4"]["mean"] == pytest.approx(1.5 / 4)
    assert result["no_answer"] == 7 / 16 and result["cut_off"] == 0.0 and result["verifier_failures"] == 0
    assert result["response_tokens"] == {"mean": 2.5, "max": 4}
    assert score(load_benchmark("sums", tmp_path), samples, num_samples=4, seed=0, pool=pool) == result


def test_a_response_that_was_cut_off_is_wrong_and_gives_no_answer(write_benchmark, sums, tmp_path, pool):
    write_benchmark(sums[:1])
    samples = [sample(0, 0, "0", finish="length"), sample(0, 1, "0")]
    result = score(load_benchmark("sums", tmp_path), samples, num_samples=2, seed=0, pool=pool)
    assert result["problems"][0]["correct"] == [False, True]
    assert result["problems"][0]["answers"] == [None, "0"]
    assert result["cut_off"] == result["cut_off_but_right"] == result["no_answer"] == 0.5


def test_multiple_choice_goes_by_letters(write_benchmark, sums, tmp_path, pool):
    row = sums[0] | {"data_source": "gpqa_diamond", "reward_model": {"style": "rule", "ground_truth": "C"}}
    row["extra_info"] = {"index": "q", "num_choices": 4}
    write_benchmark([row])
    samples = [sample("q", i, answer) for i, answer in enumerate(["(C)", "\\text{C}", "A", "E"])]
    result = score(load_benchmark("sums", tmp_path), samples, num_samples=4, seed=0, pool=pool)
    assert result["problems"][0]["answers"] == ["C", "C", "A", None]
    assert result["metrics"]["pass@1"]["mean"] == 0.5 and result["metrics"]["maj@4"]["mean"] == 1.0


def test_a_missing_sample_and_an_unknown_source_are_errors(write_benchmark, sums, tmp_path, pool):
    write_benchmark(sums[:2])
    benchmark = load_benchmark("sums", tmp_path)
    with pytest.raises(ValueError, match="problem 1 lacks sample 0"):
        score(benchmark, [sample(0, 0, "1")], num_samples=1, seed=0, pool=pool)
    sums[0]["data_source"] = "sudoku"
    write_benchmark(sums[:1])
    benchmark = load_benchmark("sums", tmp_path)
    with pytest.raises(ValueError, match="sudoku"):
        score(benchmark, [sample(0, 0, "0")], num_samples=1, seed=0, pool=pool)
    result = score(benchmark, [sample(0, 0, "0")], num_samples=1, seed=0, pool=pool, verifiers={"sudoku": "math"})
    assert result["metrics"]["pass@1"] == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_equality_in_the_pool_is_that_of_the_verifier(pool):
    pairs = [("142", "142.0"), ("1/2", "0.5"), ("\\frac{1}{2}", "0.5"), ("x+1", "1+x"), ("3", "4"), ("x", "y")]
    assert equal_in_pool(pool)(pairs) == answers_equal(pairs) == [True, True, True, True, False, False]


def test_majority_groups_by_the_verifiers_equality_by_default():
    assert majority_at_k(["142", "142.0", "5", "5", "71"], [False, False, True, True, False], 5) == 0.5
    assert majority_at_k(["1/2", "0.5", "\\frac12", "2"], [True, True, True, False], 4) == 1.0


def test_a_result_file_is_json_and_versions_are_named(tmp_path):
    write_json({"versions": versions()}, tmp_path / "deep" / "result.json")
    read = json.loads((tmp_path / "deep" / "result.json").read_text())
    assert {"python", "torch", "transformers", "math-verify", "device"} <= set(read["versions"])
    assert "vllm" in " ".join(read["versions"])
