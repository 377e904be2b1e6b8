"""The folder of a run: its configuration, its data's fingerprint, its checkpoints; whether a run there may go on."""

import hashlib
import json
import os
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

CONFIG_FILE = "config.yaml"
DATA_FILE = "data.json"
STOP_FILE = "stop_after_this_step"


def prepare_run_dir(config: DictConfig) -> Path:
    """Make the folder, or check that what is in it belongs to the same run.

    Raises:
        ValueError: it has checkpoints, and a training file is no longer the one they were made with.
    """
    run_dir = Path(config.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / STOP_FILE).unlink(missing_ok=True)

    data = {path: _digest(path) for path in training_files(config)}
    resumes = config.trainer.resume_mode != "disable" and by_step(Path(config.trainer.default_local_dir))
    if resumes and (run_dir / DATA_FILE).exists():
        before = json.loads((run_dir / DATA_FILE).read_text())
        changed = [path for path, digest in data.items() if before.get(path, digest) != digest]
        changed += [path for path in before if path not in data]
        if changed:
            raise ValueError(
                f"data.train_files: {changed[0]} is not what {run_dir} was trained on, so its place in the data "
                f"means nothing; bring the old file back, or name another run_dir."
            )
    write_atomically(run_dir / DATA_FILE, json.dumps(data, indent=0))
    write_atomically(run_dir / CONFIG_FILE, OmegaConf.to_yaml(config, resolve=True))
    return run_dir


def training_files(config: DictConfig) -> list[str]:
    """The local files of `data.train_files`."""
    files = config.data.train_files
    files = list(files) if isinstance(files, list | ListConfig) else [files]
    return [str(path) for path in files if not str(path).startswith(("hdfs://", "s3://"))]


def by_step(directory: Path) -> list[Path]:
    """The folders `global_step_N`, in order of N."""
    return sorted(directory.glob("global_step_*"), key=lambda path: int(path.name.rpartition("_")[2]))


def write_atomically(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    os.replace(beside, path)


def _digest(path: str) -> str:
    with open(Path(path).expanduser(), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
