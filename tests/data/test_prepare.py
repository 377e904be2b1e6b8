import json
import random
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rl.data.__main__ import check_name, main
from g2rl.data.check import check_rows
from g2rl.data.prepare import (
    hold_out,
    is_cut_off,
    lettered_options,
    normalised,
    overlaps,
    read_set,
    repetitions,
    to_record,
    write_records,
)
from g2rl.data.rows import PAPER_SYSTEM_PROMPT, SCHEMA
from g2rl.data.sets import SETS

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


def test_options_in_the_text():
    assert lettered_options("Which?\n\na) x\n\nA. d\nB. a\nC. b\nD. c") == 4
    assert lettered_options("A. Einstein\nasked: Which?\n\nA. x\nB. y") == 2
    assert lettered_options("Which?\n\nA. x\nC. y") == 0
    assert lettered_options("no options") == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "P"}, "^here: no 'answer'; it has problem"),
        ({"answer": "1"}, "^here: no 'problem'; it has answer"),
        ({"problem": " ", "answer": "1"}, "^here: no 'problem': it is ' '"),
        ({"problem": "P", "answer": None}, "^here: no 'answer': it is None"),
        ({"problem": "P", "answer": ["1"]}, "^here: no 'answer'"),
        ({"problem": "P", "answer": "C", "choices": ["x", "y"]}, "^here: 'answer' is 'C', with 2 choices"),
        ({"problem": "P", "answer": "A", "choices": []}, "^here: 'choices' must hold"),
        ({"problem": "P", "answer": "A", "choices": ["x", ""]}, "^here: 'choices' must hold"),
        ({"problem": "P", "answer": "A", "choices": "x|y"}, "^here: 'choices' is 'x|y', not a list"),
    ],
)
def test_bad_rows(row, message):
    with pytest.raises(ValueError, match=message):
        to_record(row, "here")


def test_numbers_are_answers_too():
    assert to_record({"problem": "P", "answer": 42}, "here").answer == "42"
    assert to_record({"problem": "P", "answer": 142.0, "level": 3}, "here").extra == {"level": 3}


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


@pytest.mark.parametrize(("name", "hint"), [("AIME24", "did you mean 'aime24'"), ("xyz", "there are math,")])
def test_unknown_names(name, hint):
    with pytest.raises(ValueError, match=hint):
        check_name(name)


@pytest.mark.parametrize(
    ("answer", "cut_off"),
    [
        ("\\frac{2\\sqrt{35", True),
        ("\\frac{2\\sqrt{35}", True),
        ("\\frac{1}{2}", False),
        ("x = \\left\\{ 1, 2 \\right.", False),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", False),
        ("\\{ \\text{a", True),
        ("1}", False),
    ],
)
def test_an_answer_is_cut_off_where_a_brace_is_never_closed(answer, cut_off):
    assert is_cut_off(answer) is cut_off


def test_problems_with_cut_off_answers_are_left_out_and_named(tmp_path, capsys):
    rows = [{"problem": f"P{n}", "answer": "\\frac{1" if n in (3, 28) else str(n)} for n in range(30)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    reports = {"aime25": "aime25", "jsonl": str(path)}
    for name, file in reports.items():
        main([name, "--source", str(path), "--out", str(tmp_path / name)])
        assert (
            f"{file}: 2 of 30 problems left out, since their answers are cut off (a brace is never closed): "
            "numbers 3, 28, counted from 0\n"
        ) in capsys.readouterr().err
    kept = pq.read_table(tmp_path / "aime25" / "aime25.parquet").to_pylist()
    assert [row["reward_model"]["ground_truth"] for row in kept] == [str(n) for n in range(30) if n not in (3, 28)]
    assert [row["extra_info"]["index"] for row in kept] == list(range(28))
    assert sum(check_rows(file).count for file in (tmp_path / "jsonl").glob("*.parquet")) == 28
    write_jsonl(path, [rows[3]] * 30)
    with pytest.raises(ValueError, match="the answers of all 30 problems are cut off"):
        main(["aime25", "--source", str(path), "--out", str(tmp_path / "none")])


def records(questions):
    return [to_record({"problem": question, "answer": "1"}, "here") for question in questions]


def test_hold_out_never_shares_a_problem():
    rng = random.Random(0)
    questions = [f"What is $x_{{{rng.randint(0, 60)}}}$?" for _ in range(200)]
    training, validation = hold_out(records(questions), 20, seed=1)
    assert len(validation) == 20
    assert not {normalised(r.question) for r in training} & {normalised(r.question) for r in validation}
    assert (training, validation) == hold_out(records(questions), 20, seed=1)
    assert validation != hold_out(records(questions), 20, seed=2)[1]


def test_hold_out_sizes():
    assert len(hold_out(records(map(str, range(50))), None, 0)[1]) == 5
    assert len(hold_out(records(map(str, range(5000))), None, 0)[1]) == 128
    for size in (0, 10, 11, -1):
        with pytest.raises(ValueError, match=f"--val-size {size} of 10 rows leaves nothing"):
            hold_out(records(map(str, range(10))), size, 0)
    with pytest.raises(ValueError, match="every one of the 4 rows"):
        hold_out(records(["same"] * 4), 1, 0)


def test_normalised_text_tells_copies_from_different_problems():
    assert normalised("Find $x + 1$,\n where  $\\left( x \\right) = 2$") == normalised("find x+1, where $(x)=2$")
    assert normalised("Find $x + 1$") != normalised("Find $x - 1$")
    assert normalised("a \\leftarrow b") != normalised("a arrow b")


def test_repetitions_and_overlaps_are_counted(tmp_path):
    train = records(["one", "two", "Two", "three"])
    assert repetitions(train).startswith("1 repeat")
    settings = {"data_source": "math", "system_prompt": "S"}
    write_records(train, tmp_path / "train.parquet", split="train", **settings)
    write_records(records(["TWO", "four"]), tmp_path / "bench.parquet", split="test", **settings)
    write_records(records(["two"]), tmp_path / "bench2.parquet", split="test", **settings)
    assert overlaps(tmp_path / "train.parquet") == [
        f"1 of its problems are also in {tmp_path / 'bench.parquet'}",
        f"1 of its problems are also in {tmp_path / 'bench2.parquet'}",
    ]
    assert overlaps(tmp_path / "bench.parquet") == [f"1 of its problems are also in {tmp_path / 'train.parquet'}"]


def test_system_prompt_is_one_setting(tmp_path):
    path = write_jsonl(tmp_path / "mine.jsonl", [{"problem": f"P{n}", "answer": n} for n in range(40)])
    main(["jsonl", "--source", str(path), "--out", str(tmp_path / "default"), "--data-source", "gsm8k"])
    main(["jsonl", "--source", str(path), "--out", str(tmp_path / "none"), "--system-prompt", ""])
    default = pq.read_table(tmp_path / "default" / "train.parquet").to_pylist()
    none = pq.read_table(tmp_path / "none" / "train.parquet").to_pylist()
    assert {row["prompt"][0]["content"] for row in default} == {PAPER_SYSTEM_PROMPT}
    assert [row["prompt"][1] for row in default] == [row["prompt"][0] for row in none]
    assert {row["data_source"] for row in default} == {"gsm8k"}
    assert (len(default), pq.read_metadata(tmp_path / "default" / "val.parquet").num_rows) == (36, 4)


def test_arithmetic_has_the_same_schema_and_no_overlap(tmp_path):
    main(["arithmetic", "--out", str(tmp_path), "--train-size", "200", "--val-size", "50"])
    train, validation = (pq.read_table(tmp_path / f"{split}.parquet") for split in ("train", "val"))
    assert train.schema.equals(SCHEMA) and validation.schema.equals(SCHEMA)
    assert [row["index"] for row in train["extra_info"].to_pylist()] == list(range(200))
    assert check_rows(tmp_path / "val.parquet").count == 50
    assert check_rows(tmp_path / "val.parquet").data_sources == {"arithmetic"}
    assert overlaps(tmp_path / "val.parquet") == []


def test_errors_of_the_command_are_one_sentence(tmp_path):
    command = [sys.executable, "-m", "g2rl.data", "jsonl", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: jsonl prepares a file of your own: name it with --source FILE.\n"
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    """The kernel's limit on a file's size fails a write half-way, as a full disk does."""
    limited = "import resource, runpy, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    limited += "runpy.run_module('g2rl.data', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", limited, "arithmetic", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{tmp_path}/train.parquet could not be written" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("answer", "what"), [("NaN", ": it is nan"), ("null", r" \(answer, "), ("[1, 2]", "")])
def test_an_answer_that_is_none_is_named_with_its_line(tmp_path, answer, what):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"problem": "P", "answer": 1}\n' * 10 + f'{{"problem": "P", "answer": {answer}}}\n')
    with pytest.raises(ValueError, match=rf"mine.jsonl, row 10: no 'answer'{what}"):
        main(["jsonl", "--source", str(path), "--out", str(tmp_path)])


@pytest.mark.parametrize("count", [0, 9])
def test_too_few_problems_are_said_without_an_option_that_nobody_set(tmp_path, count):
    path = write_jsonl(tmp_path / "mine.jsonl", [{"problem": f"P{number}", "answer": 1} for number in range(count)])
    with pytest.raises(ValueError, match=f"^{count} problems are too few: .* bring at least 10"):
        main(["jsonl", "--source", str(path), "--out", str(tmp_path)])
