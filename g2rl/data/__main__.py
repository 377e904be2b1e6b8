"""A training set or benchmark as verl parquet: python -m g2rl.data NAME [--source FILE] --out DIR."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from g2rl.data.arithmetic import distinct_problems
from g2rl.data.prepare import (
    Record,
    hold_out,
    overlaps,
    read_set,
    repetitions,
    to_record,
    whole_answers,
    write_records,
)
from g2rl.data.reading import read_file
from g2rl.data.rows import PAPER_SYSTEM_PROMPT
from g2rl.data.sets import MADE_HERE, SETS, check_name


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m g2rl.data", description=__doc__)
    parser.add_argument("name", help=f"one of {', '.join([*SETS, *MADE_HERE])}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the parquet files")
    parser.add_argument(
        "--source", type=Path, metavar="FILE", help="JSON-lines, JSON, CSV or parquet, instead of the hub"
    )
    parser.add_argument("--system-prompt", help="'' for none; default: the paper's, and none for arithmetic")
    parser.add_argument("--seed", type=int, default=0, help="of generated problems, held-out rows, shuffled options")
    parser.add_argument("--data-source", default="math", help="jsonl: names the verifier (default: %(default)s)")
    parser.add_argument("--train-size", type=int, default=2048, help="arithmetic: problems (default: %(default)s)")
    parser.add_argument("--val-size", type=int, help="arithmetic and jsonl: problems held out (default: 128)")
    return parser.parse_args(arguments)


def collect(options: argparse.Namespace) -> tuple[str, dict[str, tuple[str, list[Record]]]]:
    """(data source, file name -> what it is for and its records)."""
    check_name(options.name)
    if options.name == "arithmetic":
        sizes = {"train": options.train_size, "val": 128 if options.val_size is None else options.val_size}
        found = {}
        for split, size in sizes.items():
            problems = distinct_problems(split, size, options.seed)
            found[split] = (split, [Record(p.question, str(p.answer), {"subject": p.kind}) for p in problems])
        return "arithmetic", found
    if options.name == "jsonl":
        if options.source is None:
            raise ValueError("jsonl prepares a file of your own: name it with --source FILE.")
        rows = read_file(options.source)
        records = [to_record(row, f"{options.source}, row {number}") for number, row in enumerate(rows)]
        training, validation = hold_out(_without_cut_off(records, str(options.source)), options.val_size, options.seed)
        return options.data_source, {"train": ("train", training), "val": ("val", validation)}
    by_split = read_set(options.name, options.source, options.seed)
    several = len(SETS[options.name].splits) > 1
    found = {}
    for split, records in by_split.items():
        name = f"{options.name}_{split}" if several else options.name
        found[name] = (split, _without_cut_off(records, name))
    return SETS[options.name].data_source, found


def _without_cut_off(records: list[Record], name: str) -> list[Record]:
    whole, report = whole_answers(records)
    if report:
        print(f"{name}: {report}", file=sys.stderr)
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    system_prompt = options.system_prompt
    if system_prompt is None:
        system_prompt = "" if options.name == "arithmetic" else PAPER_SYSTEM_PROMPT
    data_source, files = collect(options)
    written = []
    for name, (split, records) in files.items():
        path = options.out / f"{name}.parquet"
        write_records(records, path, data_source=data_source, split=split, system_prompt=system_prompt)
        print(f"{name}: {len(records)} problems, {repetitions(records)}", file=sys.stderr)
        written.append(path)
    for path in written:
        for line in overlaps(path):
            print(f"{path.stem}: {line}", file=sys.stderr)
        print(path)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
