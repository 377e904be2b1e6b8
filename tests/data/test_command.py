"""`python -m g2rl.data`: what it writes, and its one sentence where it cannot."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from g2rl.data.__main__ import check_name, main
from g2rl.data.check import check_rows
from g2rl.data.duplicates import overlaps
from g2rl.data.rows import PAPER_SYSTEM_PROMPT, SCHEMA


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("name", "hint"), [("AIME24", "did you mean 'aime24'"), ("xyz", "there are math,")])
def test_unknown_names(name, hint):
    with pytest.raises(ValueError, match=hint):
        check_name(name)


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
