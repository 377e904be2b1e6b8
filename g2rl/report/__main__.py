"""`python -m g2rl.report RUN... [--out DIR]`: pictures of several runs and one HTML page with all of them.

RUN is the folder of a training run (`metrics.jsonl`), of an evaluation (`result.json`), or of both; LABEL=FOLDER names
it. Runs of one label, or whose folders differ in a seed at the end of their names, share one line with a band.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from g2rl.report.curves import plot_curves, plot_pass_at_k
from g2rl.report.page import write_page
from g2rl.report.runs import by_label, load_run
from g2rl.report.table import training_rows
from g2rl.utils.markdown import markdown_table

CURVES = "Training curves. Line: mean over seeds; band: from the lowest to the highest seed."
PASS_AT_K = (
    "pass@k over k, from the evaluation or the last validation. Band: range over seeds, or the 95 % interval over "
    "problems of a single evaluation."
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m g2rl.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, default=Path("outputs/report"))
    args = parser.parse_args(argv)
    try:
        write_report(args.runs, args.out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def write_report(arguments: Sequence[str], out: Path) -> None:
    groups = by_label([load_run(argument) for argument in arguments])
    pictures = []
    for plot, name, caption in ((plot_curves, "curves.png", CURVES), (plot_pass_at_k, "pass_at_k.png", PASS_AT_K)):
        if plot(groups, out / name):
            pictures.append((out / name, caption))
    write_page(groups, pictures, out / "report.html")
    if rows := training_rows(groups):
        print(markdown_table(rows), "", sep="\n")
    print(*(path for path, _ in pictures), out / "report.html", sep="\n")


if __name__ == "__main__":
    main()
