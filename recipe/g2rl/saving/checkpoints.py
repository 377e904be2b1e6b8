"""verl's trainers with checkpoints that are whole or not there, and that stop at one when they are told to."""

import shutil
from pathlib import Path

from omegaconf import open_dict
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback
from verl.trainer.ppo.v1 import PPOTrainer

from recipe.g2rl.errors.one_line import in_one_line
from recipe.g2rl.saving.checkpoint_files import INCOMPLETE, STOP_FILE, newest_whole, publish, remove_old
from recipe.g2rl.saving.run_log import report


class WholeCheckpoints(PPOTrainer):
    """Mixed into verl's trainers, whose own checkpoints can be half when a run is killed."""

    def _init_dataloader(self) -> None:
        """The run's last step is never past the end of the data, so that it is saved and validated as the last one."""
        super()._init_dataloader()
        most = self.steps_per_epoch * self.config.trainer.total_epochs
        if most < self.total_training_steps:
            report(f"the data end after step {most}, before trainer.total_training_steps={self.total_training_steps}")
            self.total_training_steps = most

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
                f"{free_gb:.1f} GB are free: {in_one_line(error)}"
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
