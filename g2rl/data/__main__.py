"""A training set or benchmark as verl parquet: python -m g2rl.data NAME [--source FILE] --out DIR."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from g2rl.data.code_jsonl import read_code_jsonl
from g2rl.data.code_problems import CODE_SYSTEM_PROMPT
from g2rl.data.code_sets import CODE_SETS, read_code_set
from g2rl.data.duplicates import hold_out, overlaps, repetitions
from g2rl.data.generated import GENERATED, distinct_problems
from g2rl.data.livecodebench import PUBLISHED, Window
from g2rl.data.own import read_own
from g2rl.data.own_columns import parse_columns
from g2rl.data.records import Record, whole_answers
from g2rl.data.rows import PAPER_SYSTEM_PROMPT, verl_rows, write_rows
from g2rl.data.sets import SETS, read_set
from g2rl.data.tests_files import store_long

OWN_FILES = ("jsonl", "code_jsonl")
CODE = ("programs", "code_jsonl", *CODE_SETS)
NAMES = (*SETS, *CODE_SETS, *GENERATED, *OWN_FILES)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m g2rl.data", description=__doc__)
    parser.add_argument("name", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the parquet files")
    parser.add_argument(
        "--source", type=Path, metavar="FILE", help="JSON-lines, JSON, CSV or parquet, instead of the hub"
    )
    parser.add_argument("--system-prompt", help="'' for none; default: ours, and none for generated problems")
    parser.add_argument("--seed", type=int, default=0, help="of generated problems, held-out rows, shuffled options")
    parser.add_argument("--data-source", help="jsonl, code_jsonl: names the verifier (default: math, or choice; code)")
    parser.add_argument(
        "--columns", type=parse_columns, metavar="problem=P,answer=A", help="of a --source, if not by name"
    )
    parser.add_argument("--train-size", type=int, default=2048, help="of generated problems (default: %(default)s)")
    parser.add_argument("--val-size", type=int, help="generated and own problems held out (default: 128)")
    code = parser.add_argument_group("programming problems")
    code.add_argument("--max-tests", type=int, metavar="N", help="keep the N tests with the longest inputs of each")
    code.add_argument("--no-check", action="store_true", help="code_jsonl: do not run the solutions that rows give")
    code.add_argument("--release", default=PUBLISHED.release, help="of LiveCodeBench (default: %(default)s)")
    code.add_argument("--start-date", type=date.fromisoformat, default=PUBLISHED.start, help="of its contests")
    code.add_argument(
        "--end-date", type=date.fromisoformat, default=PUBLISHED.end, help="the day after the last contest"
    )
    return parser.parse_args(arguments)


def collect(options: argparse.Namespace) -> tuple[str, dict[str, tuple[str, list[Record]]]]:
    """The data source, and by the name of each file to write what it is for (train, val or test) and its records."""
    check_name(options.name)
    if options.max_tests is not None and options.max_tests < 1:
        raise ValueError(f"--max-tests {options.max_tests}: at least 1 test has to stay.")
    if options.name in GENERATED:
        sizes = {"train": options.train_size, "val": 128 if options.val_size is None else options.val_size}
        found = {}
        for split, size in sizes.items():
            problems = distinct_problems(options.name, split, size, options.seed)
            found[split] = (split, [Record(p.question, p.gold, {"subject": p.subject}) for p in problems])
        return options.name, found
    if options.name in OWN_FILES:
        if options.source is None:
            raise ValueError(f"{options.name} prepares a file of your own: name it with --source FILE.")
        if options.name == "code_jsonl":
            data_source = "code"
            records = read_code_jsonl(options.source, options.max_tests, run_solutions=not options.no_check)
        else:
            data_source, records = read_own(options.source, options.columns)
        training, validation = hold_out(records, options.val_size, options.seed)
        return options.data_source or data_source, {"train": ("train", training), "val": ("val", validation)}
    if options.name in CODE_SETS:
        window = Window(options.release, options.start_date, options.end_date)
        records = read_code_set(options.name, options.source, window, options.max_tests)
        return options.name, {options.name: (CODE_SETS[options.name].split, records)}
    by_split = read_set(options.name, options.source, options.seed, options.columns)
    several = len(SETS[options.name].splits) > 1
    found = {}
    for split, records in by_split.items():
        name = f"{options.name}_{split}" if several else options.name
        found[name] = (split, whole_answers(records, name))
    return SETS[options.name].data_source, found


def check_name(name: str) -> None:
    """ValueError with the nearest name where there is no such set."""
    if name not in NAMES:
        nearest = difflib.get_close_matches(name.lower(), NAMES, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(NAMES)}."
        raise ValueError(f"Unknown set {name!r}; {hint}")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    data_source, files = collect(options)
    code = options.name in CODE
    system_prompt = options.system_prompt
    if system_prompt is None:
        system_prompt = "" if options.name in GENERATED else CODE_SYSTEM_PROMPT if code else PAPER_SYSTEM_PROMPT
    written = []
    for name, (split, records) in files.items():
        path = options.out / f"{name}.parquet"
        if code:
            records = [replace(record, answer=store_long(record.answer, options.out)) for record in records]
        ability = "code" if code else "math"
        rows = verl_rows(records, data_source=data_source, split=split, system_prompt=system_prompt, ability=ability)
        write_rows(rows, path)
        print(f"{name}: {len(records)} problems, {repetitions(records)}", file=sys.stderr)
        written.append(path)
    for path in written:
        for line in overlaps(path):
            print(f"{path.stem}: {line}", file=sys.stderr)
        print(path)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
