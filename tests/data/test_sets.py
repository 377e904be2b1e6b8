"""The training sets and benchmarks, with the columns of the hub and with those that people have."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rl.data.records import to_record
from g2rl.data.sets import SETS, read_set

DAPO_PROMPT = (
    "Solve the following math problem step by step. The last line is Answer: $Answer.\n\nFirst part.\n\nSecond part."
    '\n\nRemember to put your answer on its own line after "Answer:".'
)
HUB_ROWS = {  # one row of each set with columns of its own, as its repository has them
    "math": (
        {"problem": "P", "level": "Level 5", "type": "Algebra",
         "solution": "So $\\fbox{1}$, no: $\\boxed{\\frac{1}{2}}$."},
        ("P", "\\frac{1}{2}", {"subject": "Algebra", "level": 5}),
    ),
    "gsm8k": ({"question": "Q", "answer": "48/2 = <<48/2=24>>24\n#### 1,024"}, ("Q", "1024", {})),
    "dapo_math_17k": (
        {"data_source": "math_dapo", "prompt": [{"role": "user", "content": DAPO_PROMPT}],
         "reward_model": {"ground_truth": "34", "style": "rule"}, "extra_info": {"index": "u-1"}},
        ("First part.\n\nSecond part.", "34", {"id": "u-1"}),
    ),
    "mmlu_pro": (
        {"question_id": 70, "question": "Q", "options": ["x", "y", "z"], "answer": "C", "category": "law",
         "answer_index": 2},
        ("Q\n\nA. x\nB. y\nC. z", "C", {"subject": "law", "id": "70", "num_choices": 3}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HUB_ROWS)
def test_columns_of_the_hub(name):
    row, (question, answer, extra) = HUB_ROWS[name]
    record = to_record(SETS[name].convert(row), "here")
    assert (record.question, record.answer, record.extra) == (question, answer, extra)


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("thus $\\boxed 2$", "2"),
        ("$\\fbox{3}$.", "3"),
        ("$\\boxed{1}$ or $\\boxed{\\text{(A) }\\{4\\}}$", "\\text{(A) }\\{4\\}"),
    ],
)
def test_answers_of_math_solutions(solution, answer):
    row = {"problem": "P", "solution": solution, "type": "T", "level": "Level ?"}
    record = to_record(SETS["math"].convert(row), "here")
    assert (record.answer, record.extra) == (answer, {"subject": "T"})


def gpqa_row(number):
    return {
        "Question": f"Q{number}",
        "Correct Answer": f"right {number}\n",
        "Incorrect Answer 1": "w1",
        "Incorrect Answer 2": "w2",
        "Incorrect Answer 3": "w3",
        "High-level domain": "Physics",
        "Record ID": f"rec{number}",
    }


def test_gpqa_options_are_shuffled_by_seed(tmp_path):
    path = tmp_path / "gpqa.json"
    path.write_text(json.dumps([gpqa_row(number) for number in range(198)]))
    first = read_set("gpqa_diamond", path, seed=0)["test"]
    assert first == read_set("gpqa_diamond", path, seed=0)["test"]
    assert first != read_set("gpqa_diamond", path, seed=1)["test"]
    counts = dict.fromkeys("ABCD", 0)
    for number, record in enumerate(first):
        lines = record.question.split("\n")
        assert f"{record.answer}. right {number}" in lines
        assert sorted(line[3:] for line in lines[2:]) == sorted([f"right {number}", "w1", "w2", "w3"])
        counts[record.answer] += 1
    assert min(counts.values()) > 25  # 49.5 expected of each, deviation 6


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_wrong_number_of_problems(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"problem": "P", "answer": "1"}] * 29)
    with pytest.raises(ValueError, match=r"has 29 problems, aime24 has 30 \(test\)"):
        read_set("aime24", path, seed=0)


def test_a_missing_column_names_file_and_row(tmp_path):
    rows = [{"problem": "P", "answer": "1"}] * 30
    path = write_jsonl(tmp_path / "a.jsonl", [*rows[:7], {"problem": "P"}, *rows[8:]])
    for name in ("aime25", "math"):
        with pytest.raises(ValueError, match=r"a\.jsonl, row 7: no 'answer' .*; it has problem"):
            read_set(name, path, seed=0)


def test_a_named_set_has_the_columns_that_people_have(tmp_path):
    rows = [{"question": f"P{n}", "solution": rf"so \boxed{{{n}}}", "other": "7"} for n in range(30)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    assert [record.answer for record in read_set("aime25", path, seed=0)["test"]] == [str(n) for n in range(30)]
    assert {record.answer for record in read_set("aime25", path, 0, {"answer": "other"})["test"]} == {"7"}


def test_gsm8k_split_shows_in_the_count(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"problem": f"P{n}", "answer": "1"} for n in range(1319)])
    assert list(read_set("gsm8k", path, seed=0)) == ["test"]


def test_dapo_keeps_the_first_of_each_id(tmp_path):
    row = HUB_ROWS["dapo_math_17k"][0]
    rows = [{**row, "extra_info": {"index": str(number % 17917)}} for number in range(2 * 17917)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert len(read_set("dapo_math_17k", path, seed=0)["train"]) == 17917
