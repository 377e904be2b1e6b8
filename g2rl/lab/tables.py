"""`python -m g2rl.lab.tables`: the CSV, the tables and the picture of docs/study from the runs that are there."""

import argparse
import csv
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from g2rl.lab import room_tables as room
from g2rl.lab.measures import LAST, MEASURES, Run, at_level, crossings, end, read_run
from g2rl.lab.statistics import FEWEST, bootstrap, holm, p_value, paired, share_of_oracle, shown_difference, spread
from g2rl.lab.study import CONFIRMATION_SEEDS, FOLDER, SEEDS, SETTINGS
from g2rl.report.style import figure, label_colors, legend, save
from g2rl.utils.files import atomic_file
from g2rl.utils.markdown import markdown_table

LEVELS = (0.75, 0.85)
PLOTTED = ("grpo", "g2rl", "g2rl-placebo", "g2rl-neutral", "maxrl", "weighted", "weighted-placebo", "weighted-oracle")
STACK_MEASURES = ("pass@1", "derivations of sums")


def write_csv(runs: Sequence[Run] | Sequence[room.RoomRun], names: Sequence[str], path: Path) -> None:
    """A line for each validation of each run, with the measures of these names."""
    with atomic_file(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["setting", "seed", "step", *names])
        for run in runs:
            for step, values in run.evaluations.items():
                writer.writerow([run.setting, run.seed, step, *(f"{values[name]:.5g}" for name in names)])


def table_of_ends(groups: Mapping[str, Sequence[Run]]) -> str:
    rows = [["setting", "seeds", *MEASURES, "entropy, nats"]]
    for name, runs in groups.items():
        ends = [spread([end(run, measure) for run in runs], "@" in measure) for measure in MEASURES]
        entropies = [float(np.mean([value for _, value in run.metrics["actor/entropy"][-10:]])) for run in runs]
        rows.append([name, str(len(runs)), *ends, spread(entropies, False)])
    return markdown_table(rows)


def table_at_accuracy(groups: Mapping[str, Sequence[Run]]) -> str:
    rows = [["setting", *(f"at {level:.0%}" for level in LEVELS)]]
    for name, runs in groups.items():
        cells = []
        for level in LEVELS:
            found = list(at_level(runs, level).values())
            cells.append(f"{spread(found, False)}, {len(found)} of {len(runs)} runs" if found else "no run reaches it")
        rows.append([name, *cells])
    return markdown_table(rows)


def table_of_differences(groups: Mapping[str, Sequence[Run]]) -> str:
    columns: dict[str, Callable[[Sequence[Run]], dict[int, float]]] = {
        f"derivations of sums at {level:.0%}": partial(at_level, level=level) for level in LEVELS
    }
    columns["derivations of sums, end"] = lambda runs: {run.seed: end(run, "derivations of sums") for run in runs}
    columns["pass@1, end, points"] = lambda runs: {run.seed: 100 * end(run, "pass@1") for run in runs}
    rows = [["difference", *columns]]
    for one, other in PAIRS:
        if one in groups and other in groups:
            cells = [shown_difference(*paired(of(groups[one]), of(groups[other]))) for of in columns.values()]
            rows.append([f"{one} − {other}", *cells])
    return markdown_table(rows)


WEIGHTED = ("weighted", "weighted-positive", "weighted-signed")
PAIRS = [
    ("g2rl", "grpo"),
    ("g2rl", "g2rl-placebo"),
    ("g2rl", "g2rl-placebo-within"),
    ("g2rl-placebo-within", "g2rl-placebo"),
    ("g2rl-oracle", "g2rl-placebo"),
    ("g2rl-placebo", "grpo"),
    *((name, "weighted-placebo") for name in (*WEIGHTED, "weighted-oracle")),
    ("weighted-placebo", "maxrl"),
    *(("weighted", name) for name in ("maxrl", "g2rl", "grpo")),
    ("g2rl-neutral", "g2rl-neutral-placebo"),
    ("g2rl-placebo", "g2rl-neutral-placebo"),
    *((name, "g2rl-placebo") for name in ("g2rl-hidden", "g2rl-embeddings")),
    *((f"g2rl-{name}", "g2rl") for name in ("neutral", "positive", "signed", "hidden", "embeddings")),
    *((name, "g2rl") for name in ("maxrl", "ucpo", "entropy")),
]


# Questions of the protocol, and the differences that each asks of: Holm's correction is over these and the levels.
QUESTIONS = {
    "(a)": [("g2rl", "g2rl-placebo"), *((name, "weighted-placebo") for name in WEIGHTED)],
    "(a')": [("g2rl-positive", "g2rl"), ("g2rl-signed", "g2rl")],
    "(b)": [(name, other) for name in ("g2rl", "weighted") for other in ("maxrl", "ucpo", "entropy")],
    "(c)": [("g2rl", "g2rl-hidden"), ("g2rl", "g2rl-embeddings")],
    "(d)": [
        ("g2rl", "g2rl-neutral"),
        ("g2rl-placebo", "g2rl-neutral-placebo"),
        ("g2rl-neutral", "g2rl-neutral-placebo"),
        ("g2rl-placebo", "grpo"),
    ],
}


# Asked again of seeds that nobody had seen when the question was put, at the first level.
CONFIRMED = {
    "(a)": [("g2rl", "g2rl-placebo"), ("weighted", "weighted-placebo")],
    "(a), second placebo": [("g2rl", "g2rl-placebo-within")],
}


def table_of_tests(
    groups: Mapping[str, Sequence[Run]],
    questions: Mapping[str, Sequence[tuple[str, str]]] = QUESTIONS,
    levels: Sequence[float] = LEVELS,
) -> str:
    """The primary measure, where there are seeds enough for an interval."""
    rows = [["question", "derivations of sums", "difference", "bootstrap over seeds", "p (paired t)", "p after Holm"]]
    for question, pairs in questions.items():
        tests = {
            f"{one} − {other} at {level:.0%}": (at_level(groups[one], level), at_level(groups[other], level))
            for one, other in pairs
            for level in levels
            if one in groups and other in groups
        }
        tests = {name: both for name, both in tests.items() if len(both[0].keys() & both[1].keys()) >= FEWEST}
        p_values = [p_value(*both) for both in tests.values()]
        for (name, both), p, corrected in zip(tests.items(), p_values, holm(p_values), strict=True):
            low, high = bootstrap(*both)
            difference = shown_difference(*paired(*both))
            rows.append([question, name, difference, f"{low:+.2f} to {high:+.2f}", f"{p:.3f}", f"{corrected:.3f}"])
    return markdown_table(rows)


def table_of_crossings(groups: Mapping[str, Sequence[Run]], level: float) -> str:
    """The same differences where a run's pass@1 goes through the level several times; p before Holm."""
    choices: dict[str, Callable[[list[float]], float]] = {
        "first crossing": lambda found: found[0],
        "mean of all": lambda found: float(np.mean(found)),
        "last": lambda found: found[-1],
    }
    rows = [[f"derivations of sums at {level:.0%}", *choices]]
    for one, other in (pair for pairs in CONFIRMED.values() for pair in pairs):
        if one in groups and other in groups:
            cells = []
            for chosen in choices.values():
                both = [
                    {run.seed: chosen(found) for run in groups[name] if (found := crossings(run, level))}
                    for name in (one, other)
                ]
                cells.append(f"{shown_difference(*paired(*both))}, p = {p_value(*both):.3f}")
            rows.append([f"{one} − {other}", *cells])
    return markdown_table(rows)


def table_of_shares(groups: Mapping[str, Sequence[Run]]) -> str:
    rows = [["share of the oracle's gain over the placebo", *(f"at {level:.0%}" for level in LEVELS)]]
    for name in ("g2rl", "weighted"):
        trio = [groups.get(setting, []) for setting in (name, f"{name}-placebo", f"{name}-oracle")]
        cells = []
        for level in LEVELS:
            share = share_of_oracle(*(at_level(runs, level) for runs in trio))
            cells.append("not known" if share is None else "{:.0%} [{:.0%}, {:.0%}]".format(*share))
        rows.append([name, *cells])
    return markdown_table(rows)


def table_of_stacks(laboratory: Mapping[str, Sequence[Run]], verl: Sequence[Run]) -> str:
    """The runs of `g2rl.lab.verl_runs` beside all of the laboratory, at the same steps; a seed pairs nothing here."""
    rows = [["setting, step", "seeds", *(f"{name}, {of}" for name in STACK_MEASURES for of in ("laboratory", "verl"))]]
    for name, step in dict.fromkeys((run.setting, step) for run in verl for step in run.evaluations):
        stacks = [[run.evaluations[step] for run in runs if run.setting == name] for runs in (laboratory[name], verl)]
        cells = [
            spread([values[measure] for values in stack], "@" in measure)
            for measure in STACK_MEASURES
            for stack in stacks
        ]
        rows.append([f"{name}, {step}", ", ".join(str(len(stack)) for stack in stacks), *cells])
    return markdown_table(rows)


def plot(groups: Mapping[str, Sequence[Run]], path: Path) -> None:
    """Derivations of sums over pass@1, along the runs: means over the seeds at each step."""
    colors = label_colors(list(groups))
    with figure(1, 2, width=4.5, height=3.4) as (fig, (curve, steps)):
        for name, runs in groups.items():
            common = sorted(set.intersection(*(set(run.evaluations) for run in runs)))
            ways, passed = (
                [np.mean([run.evaluations[step][measure] for run in runs]) for step in common]
                for measure in ("derivations of sums", "pass@1")
            )
            curve.plot(passed, ways, marker=".", color=colors[name])
            steps.plot(common, passed, marker=".", color=colors[name])
        curve.set(
            xlabel="pass@1", ylabel="derivations among 32 samples", title="sums of four numbers (in brackets: seeds)"
        )
        curve.xaxis.set_major_formatter(PercentFormatter(xmax=1))
        steps.set(xlabel="step", title="pass@1")
        steps.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        legend(fig, {name: f"{name} ({len(runs)})" for name, runs in groups.items()}, colors)
        save(fig, path)


def by_setting(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """In the order of the protocol."""
    found = {name: [run for run in runs if run.setting == name] for name in SETTINGS}
    return {name: of_setting for name, of_setting in found.items() if of_setting}


def _confirmation(fresh: Mapping[str, Sequence[Run]]) -> list[str]:
    return [
        "The confirmation, on fresh seeds.",
        table_of_tests(fresh, CONFIRMED, LEVELS[:1]),
        table_of_crossings(fresh, LEVELS[0]),
        table_of_differences(fresh),
        table_of_ends(fresh),
        table_at_accuracy(fresh),
    ]


def write_all(folder: Path) -> None:
    runs = [read_run(path) for path in sorted((folder / "runs").glob("arithmetic-*.json.gz"))]
    reported = [run for run in runs if run.seed in SEEDS]
    if not reported:
        raise SystemExit(
            f"error: there is no run of a reported seed in {folder / 'runs'}: start bash scripts/study.sh."
        )
    groups = by_setting(reported)
    fresh = by_setting([run for run in runs if run.seed in CONFIRMATION_SEEDS])
    write_csv(runs, MEASURES, folder / "evaluations.csv")
    of_verl = [read_run(path) for path in sorted((folder / "runs").glob("verl-*.json.gz"))]
    of_room = room.read(folder, SEEDS)
    if of_room:
        write_csv(of_room, room.MEASURES, folder / "room.csv")
    if plotted := {name: runs for name, runs in groups.items() if name in PLOTTED}:
        plot(plotted, folder / "derivations.png")
    text = "\n\n".join(
        [
            f"<!-- made by `python -m g2rl.lab.tables` from {len(runs)} runs -->",
            f"Means of the last {LAST} validations; in brackets the lowest and the highest seed.",
            table_of_ends(groups),
            "Derivations of sums at equal pass@1.",
            table_at_accuracy(groups),
            "Paired by seed, with 95 % intervals.",
            table_of_differences(groups),
            "The tests of the protocol, where five seeds or more are there.",
            table_of_tests(groups),
            table_of_shares(groups),
            *(_confirmation(fresh) if fresh else []),
            *(["The laboratory and verl, at the same steps.", table_of_stacks(groups, of_verl)] if of_verl else []),
            *(["Task room.", room.table(of_room), room.table_of_differences(of_room)] if of_room else []),
        ]
    )
    with atomic_file(folder / "tables.md") as temporary:
        temporary.write_text(text + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m g2rl.lab.tables", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    write_all(parser.parse_args().folder)
