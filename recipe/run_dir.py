"""The folder of a run: its configuration, its data's fingerprint, its checkpoints; whether a run there may go on."""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from g2rl.files import atomic_file
from recipe.settings import data_files, trainer_devices

CONFIG_FILE = "config.yaml"
DATA_FILE = "data.json"
STOP_FILE = "stop_after_this_step"
LOCK_FILE = "lock"


def prepare_run_dir(config: DictConfig) -> Path:
    """Begin a run in the folder, or go on with the one in it.

    Raises:
        ValueError: it has checkpoints, and a training file is no longer the one they were made with, or they were
            written by another number of devices.
    """
    run_dir = Path(config.run_dir)
    (run_dir / STOP_FILE).unlink(missing_ok=True)

    data = {str(path): _digest(path) for path in data_files(config, "train_files")}
    resumes = config.trainer.resume_mode != "disable" and by_step(Path(config.trainer.default_local_dir))
    if resumes:
        _check_devices(resumes[-1], trainer_devices(config))
    if resumes and (run_dir / DATA_FILE).exists():
        before = json.loads((run_dir / DATA_FILE).read_text())
        changed = [path for path in {**before, **data} if before.get(path) != data.get(path)]
        if changed:
            raise ValueError(
                f"data.train_files: {changed[0]} is not what {run_dir} was trained on, so its place in the data "
                f"means nothing; bring the old file back, or name another run_dir."
            )
    with atomic_file(run_dir / DATA_FILE) as file:
        file.write_text(json.dumps(data, indent=0))
    with atomic_file(run_dir / CONFIG_FILE) as file:
        file.write_text(OmegaConf.to_yaml(config, resolve=True))
    return run_dir


@contextmanager
def only_run_in(run_dir: Path) -> Iterator[None]:
    """Make the folder and let no other run in: two would write each other's checkpoints. Ends with the process.

    Raises:
        ValueError: another run is there.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"run_dir={run_dir} belongs to a run that still goes on; wait for its end, or name another run_dir."
            ) from None
        except OSError:
            pass  # a file system without locks
        yield


def by_step(directory: Path) -> list[Path]:
    """The folders `global_step_N`, in order of N."""
    return sorted(directory.glob("global_step_*"), key=lambda path: int(path.name.rpartition("_")[2]))


def _check_devices(checkpoint: Path, devices: int) -> None:
    shards = checkpoint.glob("actor/model_world_size_*_rank_0.pt")
    written_by = {int(path.name.split("_")[3]) for path in shards}
    if written_by and written_by != {devices}:
        raise ValueError(
            f"{checkpoint} was written by {written_by.pop()} devices and can be loaded by as many only, not by the "
            f"{devices} of trainer.nnodes x trainer.n_gpus_per_node; change these, or start from the model that "
            f"`python -m recipe.export` makes of it in another run_dir."
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
