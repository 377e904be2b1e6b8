"""`python -m g2rl.lab exploration=g2rl seed=1`: trains the tiny policy in this process and shows how it went."""

import sys
from pathlib import Path

from hydra.errors import HydraException

from g2rl.lab.compose import compose_lab
from g2rl.methods.build import build_method


def main(overrides: list[str]) -> None:
    config, task = compose_lab(overrides)
    method = build_method(config.exploration)
    from g2rl.lab.run import run  # after the settings are known to be right: it takes seconds
    from g2rl.lab.train import Laboratory
    from g2rl.report import plot_run, summary_table
    from g2rl.report.runs import METRICS_FILE

    folder = Path(config.run_dir)
    run(Laboratory(config, method, task), folder)
    plot_run(folder / METRICS_FILE, folder / "curves.png")
    print(summary_table(folder / METRICS_FILE), folder / "curves.png", sep="\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, HydraException) as error:
        sys.exit(f"error: {error}")
