"""python -m g2rl.data NAME --out DIR: a training set or benchmark as verl parquet."""

import argparse
from pathlib import Path

from g2rl.data.arithmetic import distinct_problems
from g2rl.data.rows import make_row, write_rows

parser = argparse.ArgumentParser(prog="python -m g2rl.data", description=__doc__)
parser.add_argument("name", choices=["arithmetic"])
parser.add_argument("--out", type=Path, required=True)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--train-size", type=int, default=4096)
parser.add_argument("--val-size", type=int, default=128)
parser.add_argument("--system-prompt", default=None)
arguments = parser.parse_args()
for split, size in (("train", arguments.train_size), ("val", arguments.val_size)):
    rows = [
        make_row(
            "arithmetic",
            problem.question,
            str(problem.answer),
            index=index,
            split=split,
            system_prompt=arguments.system_prompt,
            kind=problem.kind,
        )
        for index, problem in enumerate(distinct_problems(split, size, arguments.seed))
    ]
    print(write_rows(rows, arguments.out / f"{split}.parquet"))
