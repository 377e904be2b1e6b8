"""Types of a column as other people's tools write them."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rl.data.check import check_rows, ground_truth_text
from g2rl.data.rows import make_row


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
