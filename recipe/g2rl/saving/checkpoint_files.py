"""The folders of checkpoints: which are there, which of them are whole.

A checkpoint is written into the folder `incomplete`, its files are listed with their sizes, and then it gets its name.
The newest whose files are all there in their sizes is the one a run goes on from.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from g2rl.utils.files import atomic_file

INCOMPLETE = "incomplete"
LISTING = "files.json"
NEWEST = "latest_checkpointed_iteration.txt"  # verl's own record of the latest step, which its tools read
STOP_FILE = "stop_after_this_step"  # in the run's folder: the driver asks the trainer to save and end


def by_step(directory: Path) -> list[Path]:
    """The folders `global_step_N`, in order of N. Copies under other names are their owner's."""
    return sorted((path for path in directory.glob("global_step_*") if _STEP.fullmatch(path.name)), key=step_of)


_STEP = re.compile(r"global_step_\d+")


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("_")[2])


def publish(written: Path, directory: Path) -> Path:
    """Give a checkpoint that was written elsewhere in `directory` its name there, with a list of its files' sizes."""
    (written / LISTING).write_text(json.dumps(_sizes(written), indent=0))
    final = directory / written.name
    shutil.rmtree(final, ignore_errors=True)  # one of the same step that was not whole, or that a rerun supersedes
    written.rename(final)
    _write_tracker(directory, final)
    return final


def newest_whole(directory: Path, report: Callable[[str], None] = lambda text: None) -> Path | None:
    """The checkpoint of the latest step that is whole; says of each later one what it lacks."""
    for checkpoint in reversed(checkpoints := by_step(directory)):
        if not (lacking := missing_files(checkpoint)):
            _write_tracker(directory, checkpoint)
            return checkpoint
        report(f"{checkpoint} is not whole ({lacking[0]}); looking for an earlier one")
    if checkpoints:
        report("no checkpoint is whole; starting at step 0")
    return None


def missing_files(checkpoint: Path) -> list[str]:
    """What a checkpoint lacks, a few words for each file; empty for a whole one."""
    if not (checkpoint / LISTING).is_file():
        return [f"no {LISTING}"]
    expected, found = json.loads((checkpoint / LISTING).read_text()), _sizes(checkpoint)
    return [
        f"{name} has {found.get(name, 0):,} of {size:,} bytes"
        for name, size in expected.items()
        if found.get(name) != size
    ]


def remove_old(directory: Path, keep: int) -> None:
    for checkpoint in by_step(directory)[:-keep]:
        shutil.rmtree(checkpoint)


def _sizes(checkpoint: Path) -> dict[str, int]:
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    return {str(path.relative_to(checkpoint)): path.stat().st_size for path in files if path.name != LISTING}


def _write_tracker(directory: Path, checkpoint: Path) -> None:
    with atomic_file(directory / NEWEST) as file:
        file.write_text(checkpoint.name.rpartition("_")[2])
