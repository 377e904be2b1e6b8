"""The model and the data of a run, as far as they lie on this machine."""

from omegaconf import DictConfig

from g2rl.data.check import check_rows
from recipe.g2rl.settings.config import REMOTE, NotThere, check_model_path, data_files, strings


def check_model(config: DictConfig) -> None:
    """
    Raises:
        NotThere: there is no such model.
        ValueError: its folder is no model.
    """
    path = config.actor_rollout_ref.model.path
    if path is None:
        raise NotThere("actor_rollout_ref.model.path: the model is made when the run starts")
    check_model_path("actor_rollout_ref.model.path", str(path))


def check_data(config: DictConfig) -> tuple[set[str], int]:
    """The data sources that the files name, and the number of training rows.

    Raises:
        NotThere: a file is missing.
        ValueError: a row that cannot be trained on.
    """
    sources: set[str] = set()
    rows = {"train_files": 0, "val_files": 0}
    for setting in rows:
        for path in data_files(config, setting):
            if not path.is_file():
                raise NotThere(f"data.{setting}: {path} does not exist; make it with `python -m g2rl.data`.")
            found = check_rows(path)
            sources |= found.data_sources
            rows[setting] += found.count
    return sources, rows["train_files"]


def check_steps(config: DictConfig, rows: int) -> None:
    """
    Raises:
        ValueError: too few rows for a batch, or for the number of steps.
    """
    if any(path.startswith(REMOTE) for path in strings(config.data.train_files)) or config.trainer.get("val_only"):
        return
    prompts, trainer = config.data.train_batch_size, config.trainer
    steps, epochs = trainer.total_training_steps, trainer.total_epochs
    if config.data.get("train_max_samples", -1) > 0:
        rows = min(rows, config.data.train_max_samples)
    if rows < prompts:
        raise ValueError(f"data.train_files has {rows} rows, too few for one step of data.train_batch_size={prompts}.")
    if steps and steps > (most := rows // prompts * epochs):
        raise ValueError(
            f"trainer.total_training_steps={steps}, but {rows} rows in batches of data.train_batch_size={prompts} make "
            f"{most} steps in trainer.total_epochs={epochs}; raise the last."
        )
