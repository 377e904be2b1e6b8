"""verl's parquet rows: one schema for every set, so that verl can concatenate files of different sets."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from g2rl.data.records import Record
from g2rl.utils.files import atomic_file

PAPER_SYSTEM_PROMPT = "Please reason step by step, and put your final answer within \\boxed{}."

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_EXTRA_INFO = pa.struct(
    [
        ("index", pa.int64()),  # the row's number in its file
        ("split", pa.string()),  # train, val or test
        ("id", pa.string()),  # the source's own name for the problem
        ("subject", pa.string()),
        ("level", pa.int64()),
        ("num_choices", pa.int64()),  # of a multiple-choice question
    ]
)
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),  # decides which verifier judges the answer
        ("prompt", pa.list_(_MESSAGE)),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        ("extra_info", _EXTRA_INFO),
    ]
)


def make_row(
    data_source: str,
    question: str,
    answer: str,
    *,
    index: int,
    split: str,
    system_prompt: str,
    ability: str = "math",
    **extra: Any,
) -> dict[str, Any]:
    """One row as verl's dataset reads it; an empty system prompt means none. `extra` goes into extra_info."""
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return {
        "data_source": data_source,
        "prompt": [*system, {"role": "user", "content": question}],
        "ability": ability,
        "reward_model": {"style": "rule", "ground_truth": answer},
        "extra_info": {"index": index, "split": split, **extra},
    }


def verl_rows(
    records: Iterable[Record], *, data_source: str, split: str, system_prompt: str, ability: str = "math"
) -> list[dict[str, Any]]:
    """The rows that verl's dataset reads; their index is the record's place."""
    return [
        make_row(
            data_source,
            record.question,
            record.answer,
            index=index,
            split=split,
            system_prompt=system_prompt,
            ability=ability,
            **record.extra,
        )
        for index, record in enumerate(records)
    ]


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Writes a parquet file that is either whole or not there."""
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), temporary)
    return path
