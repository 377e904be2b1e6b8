"""`python -m g2rl.lab.study`: the runs of docs/study_protocol.md that are missing, one process a core.

Every run leaves one file in docs/study/runs: its settings, the metrics of its steps, and the outcome of every sample of
its validations. A run that was cut off is done anew; several processes on one folder share the work.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from g2rl.lab.compose import compose_lab
from g2rl.lab.run import run
from g2rl.lab.tasks import Problem
from g2rl.lab.train import Laboratory
from g2rl.methods.build import build_method
from g2rl.report.runs import METRICS_FILE, read_metrics
from g2rl.utils.files import atomic_file, locked

FOLDER = Path(__file__).parents[2] / "docs" / "study"
POLICIES = FOLDER / "policies"  # what the runs start from: pre-trained anew, its weights depend on the processor
LOCKS = Path("outputs/study")  # so that several processes share the work
STEPS = 150
TUNING_SEEDS = range(1, 4)
SEEDS = range(11, 21)
CONFIRMATION_SEEDS = range(21, 41)  # of question (a) alone
KEPT = (
    "actor/entropy",
    "actor/grad_norm",
    "actor/kl_loss",
    "actor/pg_clipfrac",
    "reward/pass_rate",
    "response_length/mean",
    "exploration/uniform_group_share",
    "exploration/cosine_mean",
    "exploration/negative_pair_share",
    "timing_s/step",
)

# Name of a setting: its overrides.
SETTINGS: dict[str, list[str]] = {
    "grpo": ["exploration=grpo"],
    "g2rl": ["exploration=g2rl"],
    "g2rl-placebo": ["exploration=g2rl", "exploration.placebo=true"],
    "g2rl-oracle": ["exploration=g2rl", "score_on=derivations"],
    "weighted": ["exploration=weighted_maxrl"],
    "weighted-placebo": ["exploration=weighted_maxrl", "exploration.placebo=true"],
    "weighted-oracle": ["exploration=weighted_maxrl", "score_on=derivations"],
    "maxrl": ["exploration=maxrl"],
    "g2rl-neutral": ["exploration=g2rl", "exploration.uniform_groups=neutral"],
    "g2rl-neutral-placebo": ["exploration=g2rl", "exploration.uniform_groups=neutral", "exploration.placebo=true"],
    "g2rl-positive": ["exploration=g2rl", "exploration.similarity=positive"],
    "g2rl-signed": ["exploration=g2rl", "exploration.similarity=signed"],
    "g2rl-hidden": ["exploration=g2rl", "score_on=hidden_states"],
    "entropy": ["exploration=entropy"],
    "progrpo": ["exploration=progrpo"],
    "evol": ["exploration=evol"],
    "passk": ["exploration=passk"],
    "w_reinforce": ["exploration=w_reinforce"],
    "unlikeliness": ["exploration=unlikeliness"],
    "ucpo": ["exploration=ucpo"],
    "rep_exp": ["exploration=rep_exp"],
}
_MAIN = list(SETTINGS)

# Added to the protocol after the above was fixed; see its "Changes".
_OFF_POLICY = "actor_rollout_ref.actor.ppo_mini_batch_size=4"
SETTINGS |= {
    "grpo-off-policy": ["exploration=grpo", _OFF_POLICY],
    "clip_higher": ["exploration=clip_higher", _OFF_POLICY],
    "kl_cov": ["exploration=kl_cov", _OFF_POLICY],
    "g2rl-embeddings": ["exploration=g2rl", "score_on=embeddings"],
    "dra": ["exploration=dra"],
    "g2rl-placebo-within": ["exploration=g2rl", "exploration.placebo=true", "exploration.placebo_within_verdict=true"],
    "g2rl-no-root": ["exploration=g2rl", "exploration.square_root=false"],
    "entropy-0.001": ["exploration=entropy", "actor_rollout_ref.actor.entropy_coeff=0.001"],
    "entropy-0.01": ["exploration=entropy", "actor_rollout_ref.actor.entropy_coeff=0.01"],
    "weighted-positive": ["exploration=weighted_maxrl", "exploration.similarity=positive"],
    "weighted-signed": ["exploration=weighted_maxrl", "exploration.similarity=signed"],
    "weighted-0.25": ["exploration=weighted_maxrl", "exploration.scale=0.25"],
    "weighted-0.5": ["exploration=weighted_maxrl", "exploration.scale=0.5"],
}
_ROOM = ("grpo", "g2rl", "g2rl-placebo", "maxrl", "weighted", "passk")
SETTINGS |= {
    f"room-{name}": [
        "task=room",
        *SETTINGS[name],
        "data.val_max_samples=300",
        "actor_rollout_ref.rollout.val_kwargs.n=128",
        f"trainer.test_freq={STEPS}",
    ]
    for name in _ROOM
}

ORDER: list[tuple[Sequence[str], Sequence[int]]] = [  # settings, seeds
    (_MAIN[:3], SEEDS),
    (_MAIN[3:8], SEEDS[:3]),
    (("weighted", "weighted-placebo"), SEEDS[3:]),
    (("maxrl",), SEEDS[3:]),
    (("weighted-positive", "weighted-signed"), SEEDS),
    (("g2rl", "g2rl-placebo", "weighted", "weighted-placebo"), CONFIRMATION_SEEDS),
    (("g2rl-placebo-within",), CONFIRMATION_SEEDS),
    (_MAIN[8:13], SEEDS[:5]),
    (("weighted-oracle", "g2rl-oracle"), SEEDS[3:5]),
    (("g2rl-hidden",), SEEDS[5:]),
    (("entropy", "ucpo"), SEEDS[:5]),
    (("room-grpo", "room-g2rl"), SEEDS[:5]),
    (("g2rl-embeddings", "room-weighted"), SEEDS[:5]),
    (("entropy-0.001", "entropy", "entropy-0.01"), TUNING_SEEDS),
    (("weighted-oracle", "g2rl-oracle"), SEEDS[5:]),
    (_MAIN[8:12], SEEDS[5:]),
    (("room-g2rl-placebo", "room-maxrl", "room-passk"), SEEDS[:3]),
    (("progrpo", "evol", "passk", "w_reinforce", "unlikeliness", "rep_exp"), SEEDS[:3]),
    (("grpo-off-policy", "clip_higher", "kl_cov"), SEEDS[:3]),
    (("dra", "g2rl-no-root"), SEEDS[:3]),
    (("weighted-0.25", "weighted-0.5"), SEEDS[:3]),
]


def missing(folder: Path) -> Iterator[tuple[str, int]]:
    """Settings and seeds in the order of the protocol: all settings of a line with one seed, then the next seed."""
    for names, seeds in ORDER:
        for seed in seeds:
            for name in names:
                if not run_file(folder, name, seed).exists():
                    yield name, seed


def run_file(folder: Path, name: str, seed: int, kind: str = "arithmetic") -> Path:
    """kind: what the name of an arithmetic setting's file begins with, which is "verl" for a run of the recipe."""
    return folder / "runs" / f"{name if name.startswith('room-') else f'{kind}-{name}'}-seed{seed}.json.gz"


def policy_of(name: str) -> str:
    return f"actor_rollout_ref.model.path={POLICIES / ('room' if name.startswith('room-') else 'arithmetic')}"


def perform(name: str, seed: int, folder: Path) -> None:
    """One run, with its file at the end. The metrics of its steps are seen in `outputs/study` meanwhile."""
    overrides = [*SETTINGS[name], f"seed={seed}", f"trainer.total_training_steps={STEPS}"]
    config, task = compose_lab([*overrides, policy_of(name), f"run_dir=outputs/study/{name}-seed{seed}"])
    laboratory = Laboratory(config, build_method(config.exploration), task)
    outcomes = run(laboratory, Path(config.run_dir))
    record = {"setting": name, "task": task, "seed": seed, "overrides": overrides}
    write_run(run_file(folder, name, seed), record, laboratory.validation, Path(config.run_dir), outcomes)


def write_run(
    target: Path,
    record: dict[str, Any],
    validation: Sequence[Problem],
    run_dir: Path,
    outcomes: dict[int, list[list[str | None]]],
) -> None:
    """What the record says of a run, with the metrics of its steps and the outcomes of its validations."""
    metrics = read_metrics(run_dir / METRICS_FILE)
    record = record | {
        "kinds": [problem.kind for problem in validation],
        "metrics": {
            key: [[step, float(f"{value:.5g}")] for step, value in metrics.get(key, {}).items()] for key in KEPT
        },
        **packed(outcomes),
    }
    with atomic_file(target) as temporary:  # no time in it: the same run gives the same file
        temporary.write_bytes(gzip.compress(json.dumps(record, separators=(",", ":")).encode(), mtime=0))


def packed(outcomes: dict[int, list[list[str | None]]]) -> dict[str, Any]:
    """Outcomes of the samples by step and problem, as numbers: −1 wrong, else the place in `derivations`.

    A right answer without a derivation has the place of "".
    """
    places: dict[str, int] = {"": 0}
    numbers = {
        step: [[-1 if way is None else places.setdefault(way, len(places)) for way in row] for row in rows]
        for step, rows in outcomes.items()
    }
    return {"outcomes": numbers, "derivations": list(places)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m g2rl.lab.study", description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="only say what is missing")
    parser.add_argument("--runs", type=int, help="stop after this many runs")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    if options.list:
        print(*(f"{name} seed {seed}" for name, seed in missing(options.folder)), sep="\n")
        return
    done = 0
    for name, seed in missing(options.folder):
        if options.runs is not None and done >= options.runs:
            break
        with locked(LOCKS / f"{name}-seed{seed}.lock") as alone:
            if not alone or run_file(options.folder, name, seed).exists():
                continue
            try:
                perform(name, seed, options.folder)
            except KeyboardInterrupt:
                print(f"{name} seed {seed} was stopped; started again, it is done anew", file=sys.stderr)
                sys.exit(130)
        done += 1
        print(f"{name} seed {seed} is done", file=sys.stderr)


if __name__ == "__main__":
    main()
