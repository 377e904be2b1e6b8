"""How many prompts are left once verl has dropped those that are too long, and whether that is enough for the run."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import datasets
from omegaconf import DictConfig
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from verl.trainer.ppo.utils import create_rl_dataset

from recipe.g2rl.settings.config import is_remote, strings


def check_data_left(
    config: DictConfig, rows: dict[str, int], tokenizer: PreTrainedTokenizerBase, processor: ProcessorMixin | None
) -> list[str]:
    """Reads the data as verl will, whose cache of it the run then finds. Returns a note for each share dropped.

    Args:
        rows: setting (train_files, val_files) -> rows of its files.

    Raises:
        ValueError: too little is left for a batch, for the number of steps, or for validation; or verl cannot read it.
    """
    notes, left = [], {}
    for setting, part in {"train_files": "train", "val_files": "val"}.items():
        files = strings(config.data[setting])
        if any(map(is_remote, files)):
            continue
        most = config.data.get(f"{part}_max_samples", -1)
        try:
            with _quiet():
                left[setting] = len(
                    create_rl_dataset(files, config.data, tokenizer, processor, part == "train", max_samples=most)
                )
        except Exception as error:  # of datasets, pyarrow or a dataset class of the user's
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ValueError(f"data.{setting} cannot be read by verl's dataset: {lines[0]}") from error
        drawn = min(rows[setting], most) if most > 0 else rows[setting]
        if left[setting] < drawn:
            dropped = drawn - left[setting]
            notes.append(
                f"data.{setting}: {dropped} of {drawn} prompts ({dropped / drawn:.0%}) are longer than "
                f"data.max_prompt_length={config.data.max_prompt_length} tokens and left out"
            )
        if left[setting] == 0:
            raise ValueError(
                f"data.{setting}: all {drawn} prompts are longer than data.max_prompt_length="
                f"{config.data.max_prompt_length} tokens, so that nothing is left; raise it."
            )
    if "train_files" in left and not config.trainer.get("val_only"):
        _check_steps(config, left["train_files"], "".join(f" ({note})" for note in notes if "train_files" in note))
    return notes


def _check_steps(config: DictConfig, left: int, why: str) -> None:
    prompts, trainer = config.data.train_batch_size, config.trainer
    steps, epochs = trainer.total_training_steps, trainer.total_epochs
    if left < prompts:
        raise ValueError(
            f"data.train_files has {left} rows, too few for one step of data.train_batch_size={prompts}; lower it or "
            f"bring more data{why}."
        )
    if steps and steps > (most := left // prompts * epochs):
        raise ValueError(
            f"trainer.total_training_steps={steps}, but {left} rows in batches of data.train_batch_size={prompts} make "
            f"{most} steps in trainer.total_epochs={epochs}; raise the last{why}."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """verl prints counts; the progress of a long file is for a terminal only."""
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    with redirect_stdout(io.StringIO()):
        yield
