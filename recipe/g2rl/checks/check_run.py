"""The one list of checks: the entry, `DRY_RUN=1` and `python -m recipe.g2rl.checks` go through it.

Whatever can be known before Ray starts is said here. Settings come first, since they need nothing; then what the
project makes itself is made; then model, data, lengths, memory, versions, disk and devices are looked at.
"""

from dataclasses import dataclass, field
from pathlib import Path

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from recipe.g2rl.checks.data_left import check_data_left
from recipe.g2rl.checks.machine import check_machine
from recipe.g2rl.checks.model_and_data import check_data, check_model
from recipe.g2rl.checks.packages import check_packages
from recipe.g2rl.checks.preflight import check_devices, preflight
from recipe.g2rl.checks.settings import check_settings
from recipe.g2rl.checks.templates import check_templates, load_tokenizer
from recipe.g2rl.rewards.selection import choose_reward
from recipe.g2rl.settings.config import NotThere


@dataclass
class Report:
    """table: what the run will take, "" where the model could not be looked at. The others hold one sentence a line."""

    table: str = ""
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_run(config: DictConfig, *, everything: bool) -> Report:
    """Check the configuration of a run, and enter into it whose reward counts.

    Args:
        everything: the run starts now: models and data that the project makes itself are made, and what is missing is
            an error. Otherwise neither data nor a hub is needed: what is not there becomes a note.

    Raises:
        ValueError: the first thing found wrong, naming the setting and what to do.
    """
    report = Report(warnings=check_settings(config) + check_machine(config))
    if everything:
        check_devices(config)
        check_packages(config)
        _make_model_and_data(config)
    try:
        check_model(config)
        report.table, warnings = preflight(config, online=everything)
        report.warnings += warnings
    except NotThere as missing:
        if everything:
            raise
        report.notes.append(f"not looked at: {missing}")
    try:
        sources, rows, unreadable = check_data(config)
        report.notes.append(choose_reward(config, sources, unreadable))
        if config.actor_rollout_ref.model.path is not None:
            tokenizer, processor = load_tokenizer(config, online=everything)
            check_templates(config, processor or tokenizer)
            report.notes += check_data_left(config, rows, tokenizer, processor)
    except NotThere as missing:
        if everything:
            raise
        report.notes.append(f"not looked at: {missing}")
    return report


def _make_model_and_data(config: DictConfig) -> None:
    """The model and the data that the configuration's `prepare` names, where they are missing."""
    model = config.actor_rollout_ref.model
    try:
        if model.path is None and config.prepare.model is not None:
            model.path = str(instantiate(config.prepare.model, cache=Path(config.cache)))
        for step in config.prepare.data:
            instantiate(step)
    except InstantiationException as error:  # Hydra's five lines around the sentence that counts
        raise error.__cause__ or error from None
