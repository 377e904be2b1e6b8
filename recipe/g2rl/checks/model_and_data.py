"""The model and the data of a run, as far as they lie on this machine."""

from omegaconf import DictConfig

from g2rl.data.check import check_rows
from recipe.g2rl.rewards.selection import judged_by_rows
from recipe.g2rl.settings.config import NotThere, check_model_path, data_files


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


def check_data(config: DictConfig) -> tuple[set[str], dict[str, int], dict[str, str]]:
    """The data sources, the rows of `train_files` and `val_files`, and of each source that
    this project's verifiers cannot read a sentence that says so.

    Raises:
        NotThere: a file is missing.
        ValueError: a row that cannot be trained on.
    """
    sources: set[str] = set()
    unreadable: dict[str, str] = {}
    rows = {"train_files": 0, "val_files": 0}
    for setting in rows:
        for path in data_files(config, setting):
            if not path.is_file():
                raise NotThere(f"data.{setting}: {path} does not exist; make it with `python -m g2rl.data`.")
            found = check_rows(path, config.data.prompt_key, judged_by_rows=judged_by_rows(config))
            sources |= found.data_sources
            rows[setting] += found.count
            unreadable = found.unreadable | unreadable
    return sources, rows, unreadable
