"""verl's parquet rows: made, written, and checked before a run starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from g2rl.files import atomic_file

PAPER_SYSTEM_PROMPT = "Please reason step by step, and put your final answer within \\boxed{}."


def make_row(
    data_source: str, problem: str, answer: str, *, index: int, split: str, system_prompt: str | None, **extra: Any
) -> dict[str, Any]:
    """One row as verl's dataset reads it; `extra` goes into extra_info."""
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return {
        "data_source": data_source,
        "prompt": [*system, {"role": "user", "content": problem}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": answer},
        "extra_info": {"index": index, "split": split, **extra},
    }


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Writes a parquet file that is either whole or not there."""
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows)), temporary)
    return path
