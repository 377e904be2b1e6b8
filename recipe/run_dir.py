"""The folder of a run: its configuration, its data's fingerprint, its checkpoints; whether a run there may go on."""

import hashlib
import json
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from g2rl.files import atomic_file
from recipe.settings import data_files

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

    data = {str(path): _digest(path) for path in data_files(config, "train_files")}
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
    with atomic_file(run_dir / DATA_FILE) as file:
        file.write_text(json.dumps(data, indent=0))
    with atomic_file(run_dir / CONFIG_FILE) as file:
        file.write_text(OmegaConf.to_yaml(config, resolve=True))
    return run_dir


def by_step(directory: Path) -> list[Path]:
    """The folders `global_step_N`, in order of N."""
    return sorted(directory.glob("global_step_*"), key=lambda path: int(path.name.rpartition("_")[2]))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
