"""The folder of a run: its configuration, hashes of its data, its checkpoints; whether a run there may go on."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from g2rl.report.runs import METRICS_FILE, read_metrics
from g2rl.utils.files import atomic_file, locked
from recipe.g2rl.saving.checkpoint_files import STOP_FILE, by_step, missing_files, step_of
from recipe.g2rl.settings.config import data_files, trainer_devices

CONFIG_FILE = "config.yaml"
DATA_FILE = "data.json"
LOCK_FILE = "lock"

# A run that goes on must keep these settings. Others may change, and each change is printed.
SAME_RUN = ("exploration", "algorithm", "actor_rollout_ref.model.path", "data.seed", "data.train_batch_size")
FREE = ("exploration.log_geometry",)


def check_run_dir(config: DictConfig) -> list[str]:
    """May a run begin in the folder, or go on with the one in it? Returns a line for each setting that changes.

    Raises:
        ValueError: it has checkpoints that `trainer.resume_mode` would not go on from; or a training file, the method
            or another setting of `SAME_RUN`, or the number of devices is no longer the one they were made with.
    """
    run_dir = Path(config.run_dir)
    start = _start(config)
    if start is None:
        return []
    _check_devices(start, trainer_devices(config))
    if start.parent != Path(config.trainer.default_local_dir):  # the beginning of another run
        return []
    if (run_dir / DATA_FILE).exists():
        before, now = json.loads((run_dir / DATA_FILE).read_text()), _fingerprint(config)
        changed = [path for path in {**before, **now} if before.get(path) != now.get(path)]
        if changed:
            raise ValueError(
                f"data.train_files: {changed[0]} is not the file that {run_dir} was trained on, so the run "
                f"cannot go on where it stopped in the data; bring the old file back, or name another run_dir."
            )
    return _changes(OmegaConf.load(run_dir / CONFIG_FILE), config) if (run_dir / CONFIG_FILE).exists() else []


def is_finished(config: DictConfig) -> bool:
    """Is the checkpoint of the last of `trainer.total_training_steps` there and whole, and is that step logged?

    verl validates between the two: a run that ended there goes on from the checkpoint with the validation.
    """
    start, steps = _start(config), config.trainer.total_training_steps
    if start is None or steps is None or step_of(start) < steps or missing_files(start):
        return False
    metrics = Path(config.run_dir) / METRICS_FILE
    return metrics.is_file() and any(max(series) >= steps for series in read_metrics(metrics).values())


def write_run_dir(config: DictConfig) -> None:
    """Record the run's settings and the hashes of its data."""
    run_dir = Path(config.run_dir)
    (run_dir / STOP_FILE).unlink(missing_ok=True)
    with atomic_file(run_dir / DATA_FILE) as file:
        file.write_text(json.dumps(_fingerprint(config), indent=0))
    with atomic_file(run_dir / CONFIG_FILE) as file:
        file.write_text(OmegaConf.to_yaml(config, resolve=True))


@contextmanager
def only_run_in(run_dir: Path) -> Iterator[None]:
    """Make the folder and let no other run in: two would write each other's checkpoints. Ends with the process.

    Raises:
        ValueError: another run is there.
    """
    with locked(run_dir / LOCK_FILE) as alone:
        if not alone:
            raise ValueError(
                f"run_dir={run_dir} belongs to a run that still goes on; wait for its end, or name another run_dir."
            )
        yield


def _start(config: DictConfig) -> Path | None:
    """The checkpoint to go on from; None for a run from the beginning.

    New checkpoints among later ones of another run would be taken for old ones and removed.
    """
    trainer, there = config.trainer, by_step(Path(config.trainer.default_local_dir))
    starts = {
        "auto": there[-1] if there else None,
        "resume_path": Path(trainer.resume_from_path or ""),
        "disable": None,
    }
    if trainer.resume_mode not in starts:
        raise ValueError(f"trainer.resume_mode={trainer.resume_mode} is none of {', '.join(starts)}.")
    start = starts[trainer.resume_mode]
    if start and not (start.is_dir() and start in by_step(start.parent)):
        raise ValueError(f"trainer.resume_from_path={trainer.resume_from_path} is no folder global_step_N.")
    if there and (start is None or step_of(start) < step_of(there[-1])):
        raise ValueError(
            f"trainer.resume_mode={trainer.resume_mode} would leave out {there[-1]}, which is later; "
            f"leave trainer.resume_mode at auto to go on from it, or name another run_dir."
        )
    return start


def _changes(before: DictConfig | ListConfig, config: DictConfig) -> list[str]:
    old, new = (dict(_leaves(OmegaConf.to_container(c, resolve=True))) for c in (before, config))
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    for name in changed:
        if name not in FREE and any(name == same or name.startswith(f"{same}.") for same in SAME_RUN):
            raise ValueError(
                f"{name} is {new.get(name)}, and the run in {config.run_dir} began with {old.get(name)}; name another "
                f"run_dir, or go on with the old value."
            )
    return [f"{name} is {new.get(name)} from now on, and was {old.get(name)}" for name in changed]


def _leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every setting of nested dictionaries."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _check_devices(checkpoint: Path, devices: int) -> None:
    shards = checkpoint.glob("actor/model_world_size_*_rank_0.pt")
    written_by = {int(path.name.split("_")[3]) for path in shards}
    if written_by and written_by != {devices}:
        raise ValueError(
            f"{checkpoint} was written by {written_by.pop()} devices and can be loaded by as many only, not by the "
            f"{devices} of trainer.nnodes x trainer.n_gpus_per_node; change these, or start from the model that "
            f"`python -m recipe.g2rl.tools.export` makes of it in another run_dir."
        )


def _fingerprint(config: DictConfig) -> dict[str, str]:
    return {str(path): _digest(path) for path in data_files(config, "train_files")}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
