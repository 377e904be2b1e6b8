"""Whose reward counts: what the user names, else this project's verifiers or verl's scorers by data source."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict
from verl.utils import reward_score

from g2rl.verify import DEFAULT_VERIFIERS, check_data_sources, verifier_table
from g2rl.verify.code import probe
from recipe.g2rl.rewards import isolated
from recipe.g2rl.settings.config import is_remote, strings
from recipe.g2rl.settings.reward import reward_settings

# verl's scorers of programs; asked, they would run some. `codeforces` is also a set of this project's, whose tests have
# another form: the form decides who judges it.
CODE_SOURCES = ("codecontests", "apps", "codeforces", "taco")
OWN_MANAGER = "VerifiedRewardManager"
OWN_GAP = 2.0  # between +1 and −1


def choose_reward(config: DictConfig, sources: set[str], unreadable: dict[str, str]) -> str:
    """Enter into the configuration whose reward counts, and say it in one line.

    In this order: a reward function of the user's (`reward.custom_reward_function`), a reward model, a reward manager
    of the user's, one of verl's other than its default with verl's scorers, this project's verifiers where they know
    all data sources, verl's scorers where these do. Functions run in processes of their own
    (`recipe.g2rl.rewards.isolated`).

    Args:
        sources: the data sources that the data files name.
        unreadable: of those whose ground truths this project's verifiers cannot read, a sentence that says so.

    Raises:
        ValueError: nobody knows a data source or reads its ground truths; a file is remote and no reward is named; or
            the function's file does not exist.
    """
    reward = config.reward
    if reward.custom_reward_function.path:
        path = str(reward.custom_reward_function.path)
        if not path.startswith("pkg://"):
            path = str(Path(path.removeprefix("file://")).expanduser().absolute())  # workers start in other folders
            if not Path(path).is_file():
                raise ValueError(f"reward.custom_reward_function.path={path} does not exist.")
        name = reward.custom_reward_function.name
        isolated.check(path, name, config.reward_limits.memory_mb)
        _isolate(config, path, name)
        return f"rewards: {name} of {path}"
    if reward.reward_model.enable:
        return f"rewards: the reward model {reward.reward_model.model_path}"
    if reward.reward_manager.source != "register":  # a class of the user's, which may need no scorer
        return f"rewards: {reward.reward_manager.name} of {reward.reward_manager.module.path}"
    named = reward.reward_manager.name != "naive"
    files = [*strings(config.data.train_files), *strings(config.data.val_files)]
    if not named and (remote := [file for file in files if is_remote(file)]):
        raise ValueError(
            f"{remote[0]} is not looked into before the run, so that nobody knows who can judge it; name a function in "
            "reward.custom_reward_function.path (verl's is pkg://verl.utils.reward_score, name default_compute_score)."
        )
    settings = reward_settings(config) if not named else None
    table = verifier_table(settings.verifiers) if settings else {}
    if settings and sources <= table.keys() - (unreadable.keys() & CODE_SOURCES):
        if unreadable:
            raise ValueError(next(iter(unreadable.values())))
        with open_dict(config):
            reward.reward_manager.update(source="importlib", name=OWN_MANAGER)
            reward.reward_manager.module.path = "pkg://recipe.g2rl.reward_manager"
            config.reward_gap = config.reward_gap or OWN_GAP
            config.runs_programs = any(table[source] == "code" for source in sources)
        line = f"rewards: this project's verifiers, for {', '.join(sorted(sources)) or 'the data'}"
        if config.runs_programs:
            line += f"; {probe(settings.code_settings)}"
        return line
    unknown = sorted(source for source in sources if not _verl_scores(source, unreadable))
    if unknown:
        if settings:
            check_data_sources(unknown, settings.verifiers)
        raise ValueError(
            f"verl has no scorer for data source {unknown[0]!r} as its rows are; name a function in "
            "reward.custom_reward_function.path, or train on data whose sources all have the same judge "
            "(docs/your_verl_run.md)."
        )
    if not reward.sandbox_fusion.url:
        _isolate(config, "pkg://verl.utils.reward_score", "default_compute_score")
    named_sources = ", ".join(sorted(sources)) or "the data"
    return f"rewards: verl's scorers for {named_sources}, reward manager {reward.reward_manager.name}"


def judged_by_rows(config: DictConfig) -> bool:
    """Whether data source and ground truth decide; a reward model or manager of the user's may need neither."""
    reward = config.reward
    of_the_users = reward.reward_model.enable or reward.reward_manager.source != "register"
    return bool(reward.custom_reward_function.path) or not of_the_users


def _isolate(config: DictConfig, path: str, name: str) -> None:
    """Put our function in the user's place, with the user's among its arguments: verl's managers call it as they do.

    Not under verl's manager `remote`, which takes no coroutine and has processes of its own.
    """
    function = config.reward.custom_reward_function
    if config.reward.reward_manager.name == "remote":
        function.path = function.path and path
        return
    kwargs = OmegaConf.to_container(function.get("reward_kwargs") or OmegaConf.create({}), resolve=True)
    limits = OmegaConf.to_container(config.reward_limits, resolve=True)
    with open_dict(config):
        function.path = str(Path(isolated.__file__))
        function.name = "compute_score"
        function.reward_kwargs = {"user_path": path, "user_name": name, "user_kwargs": kwargs, "limits": limits}


def _verl_scores(source: str, unreadable: dict[str, str]) -> bool:
    """Whether verl's `default_compute_score` knows the data source; it says so by raising."""
    if source in CODE_SOURCES:
        return source in unreadable or source not in DEFAULT_VERIFIERS
    try:
        reward_score.default_compute_score(source, "", "0")
    except NotImplementedError:
        return False
    except Exception:
        return True
    return True
