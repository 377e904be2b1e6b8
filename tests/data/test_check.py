"""Rows that cannot be trained on are named; the types of a column are as other people's tools write them."""

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rl.data.check import check_rows, ground_truth_text
from g2rl.data.rows import make_row, write_rows


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-7, "-7"),
        (10**30, "1" + "0" * 30),
        (0.1, "0.1"),
        (2.0, "2.0"),
        (1e22, "1" + "0" * 22),
        (1e-7, "0.0000001"),
        (Decimal("1.50"), "1.50"),
        ("\\frac{1}{2}", "\\frac{1}{2}"),
        (["x"], "x"),
        ([[3]], "3"),
        ("nan", "nan"),  # a text is what it says
    ],
)
def test_a_ground_truth_is_one_text(value, text):
    assert ground_truth_text(value) == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (float("nan"), "the number nan"),
        (float("inf"), "the number inf"),
        ("", "an empty text"),
        (" ", "an empty text"),
        ([], "empty"),
        ([None], "null"),
    ],
)
def test_what_is_no_answer_is_named_with_its_row(tmp_path, value, words):
    good, bad = (make_row("math", "P", "2", index=i, split="train", system_prompt="") for i in range(2))
    good["reward_model"]["ground_truth"] = {float: 1.0, list: [1.0]}.get(type(value), "2")
    bad["reward_model"]["ground_truth"] = value
    pq.write_table(pa.Table.from_pylist([good, bad]), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=rf"train.parquet, row 1: no ground truth \(.* is {words}\)"):
        check_rows(tmp_path / "train.parquet")


@pytest.mark.parametrize("extra_info", [{"index": "u-1"}, {"index": None, "split": "train"}, {"index": 2.0}, None])
def test_an_index_may_be_anything_hashable_or_missing(tmp_path, extra_info):
    row = make_row("math", "P", "2", index=0, split="train", system_prompt="") | {"extra_info": extra_info}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train.parquet")
    assert check_rows(tmp_path / "train.parquet").count == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": []}, "row 1: no prompt"),
        ({"prompt": None}, "row 1: no prompt"),
        ({"prompt": [{"role": "user", "content": ""}]}, "row 1: no prompt"),
        ({"reward_model": None}, "row 1: no ground truth"),
        ({"data_source": None}, "row 1: no data_source"),
    ],
)
def test_check_rows_names_file_and_row(tmp_path, changes, message):
    good, bad = (make_row("math", "P", "1", index=i, split="train", system_prompt="") for i in range(2))
    path = write_rows([good, bad | changes], tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=rf"a\.parquet, {message}"):
        check_rows(path)


def test_prompts_in_a_column_of_another_name(tmp_path):
    row = make_row("math", "P", "1", index=0, split="train", system_prompt="")
    row["messages"] = row.pop("prompt")
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    assert check_rows(tmp_path / "a.parquet", prompt_key="messages").count == 1
    with pytest.raises(ValueError, match="no column 'prompt'"):
        check_rows(tmp_path / "a.parquet")


def test_check_rows_of_unfit_files(tmp_path):
    with pytest.raises(ValueError, match="not a readable parquet file"):
        check_rows(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(ValueError, match="not a readable parquet file"):
        check_rows(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="has no row"):
        check_rows(write_rows([], tmp_path / "empty.parquet"))
    pq.write_table(pa.table({"prompt": ["a"]}), tmp_path / "columns.parquet")
    with pytest.raises(ValueError, match="no column 'data_source'"):
        check_rows(tmp_path / "columns.parquet")


@pytest.mark.parametrize("name", ["train.jsonl", "train.json"])
def test_json_is_read_as_verl_reads_it(tmp_path, name):
    rows = [make_row("math", "P", str(i), index=i, split="train", system_prompt="") for i in range(2)]
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, rows)) if name.endswith("l") else json.dumps(rows))
    found = check_rows(path)
    assert (found.count, found.data_sources) == (2, {"math"})
    path.write_text("{")
    with pytest.raises(ValueError, match="is not a readable JSON file"):
        check_rows(path)


def test_a_reward_model_needs_prompts_alone(tmp_path):
    prompt = [{"role": "user", "content": "P"}]
    path = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist([{"prompt": prompt}]), path)
    assert check_rows(path, judged_by_rows=False).count == 1
    with pytest.raises(ValueError, match="has no column 'data_source'"):
        check_rows(path)
    pq.write_table(pa.Table.from_pylist([{"prompt": prompt}, {"prompt": []}]), path)
    with pytest.raises(ValueError, match="row 1: no prompt"):
        check_rows(path, judged_by_rows=False)
