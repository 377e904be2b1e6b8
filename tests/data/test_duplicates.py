"""Problems that occur more than once are counted, and never on both sides of a split."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rl.data.duplicates import hold_out, normalised, overlaps, repetitions
from g2rl.data.records import to_record
from g2rl.data.rows import verl_rows, write_rows


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
    write_rows(verl_rows(train, split="train", **settings), tmp_path / "train.parquet")
    write_rows(verl_rows(records(["TWO", "four"]), split="test", **settings), tmp_path / "bench.parquet")
    write_rows(verl_rows(records(["two"]), split="test", **settings), tmp_path / "bench2.parquet")
    pq.write_table(pa.table({"prompt": ["two"]}), tmp_path / "other.parquet")  # somebody else's
    assert overlaps(tmp_path / "train.parquet") == [
        f"1 of its problems are also in {tmp_path / 'bench.parquet'}",
        f"1 of its problems are also in {tmp_path / 'bench2.parquet'}",
    ]
    assert overlaps(tmp_path / "bench.parquet") == [f"1 of its problems are also in {tmp_path / 'train.parquet'}"]
