"""Checkpoints that are whole or not there, and a run that stops at one when it is told to.

A checkpoint is written into the folder `incomplete`, its files are listed with their sizes, and then it gets its name.
The newest whose files are all there in their sizes is the one a run goes on from.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from omegaconf import open_dict
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback
from verl.trainer.ppo.v1 import PPOTrainer

from g2rl.utils.files import atomic_file
from recipe.g2rl.driver.console import report
from recipe.g2rl.driver.run_dir import STOP_FILE, by_step

INCOMPLETE = "incomplete"
LISTING = "files.json"


class WholeCheckpoints(PPOTrainer):
    """Mixed into verl's trainers, whose own checkpoints can be half when a run is killed."""

    def _save_checkpoint(self) -> None:
        trainer, callback = self.config.trainer, self.checkpoint_callback
        directory, keep = trainer.default_local_dir, trainer.max_actor_ckpt_to_keep
        incomplete = Path(directory) / INCOMPLETE
        shutil.rmtree(incomplete, ignore_errors=True)
        # verl would remove old checkpoints by the paths that it wrote to, and call back before there is a name.
        trainer.default_local_dir, trainer.max_actor_ckpt_to_keep = str(incomplete), None
        self.checkpoint_callback = CheckpointCallback(self.config)
        try:
            super()._save_checkpoint()
            saved = publish(incomplete / f"global_step_{self.global_steps}", Path(directory))
        except Exception as error:
            free_gb = shutil.disk_usage(directory).free / 1e9
            raise RuntimeError(
                f"the checkpoint of step {self.global_steps} could not be written to {directory}, where "
                f"{free_gb:.1f} GB are free: {str(error).strip().splitlines()[-1]}"
            ) from error
        finally:
            shutil.rmtree(incomplete, ignore_errors=True)
            trainer.default_local_dir, trainer.max_actor_ckpt_to_keep = directory, keep
            self.checkpoint_callback = callback
        if keep:
            remove_old(Path(directory), keep)
        callback.on_save(trainer=self, global_step=self.global_steps, checkpoint_dir=str(saved), async_save=False)

    def _load_checkpoint(self) -> None:
        trainer = self.config.trainer
        if trainer.resume_mode == "auto":
            newest = newest_whole(Path(trainer.default_local_dir).absolute(), report)
            with open_dict(trainer):
                trainer.resume_mode = "resume_path" if newest else "disable"
                trainer.resume_from_path = str(newest)
        super()._load_checkpoint()

    def on_step_end(self) -> None:
        stop = Path(self.config.run_dir) / STOP_FILE
        if stop.exists() and self.global_steps < self.total_training_steps:
            frequency = self.config.trainer.save_freq
            if frequency <= 0 or self.global_steps % frequency:
                self._save_checkpoint()
            report(f"stopping after step {self.global_steps} of {self.total_training_steps}, which is saved")
            stop.unlink()  # tells the launcher that the run did not just come to its end
            self.total_training_steps = self.global_steps  # verl's loop ends by itself
        super().on_step_end()  # last, since vLLM takes its memory back there, which the checkpoint may need


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
    # verl's own record of the latest step, which its tools read
    with atomic_file(directory / "latest_checkpointed_iteration.txt") as file:
        file.write_text(checkpoint.name.rpartition("_")[2])
