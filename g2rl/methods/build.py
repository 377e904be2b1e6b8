"""The method object of a run, made by Hydra from `exploration:` of its configuration."""

from dataclasses import fields

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from g2rl.methods.base import Method


def build_method(exploration: DictConfig) -> Method:
    """The method object of the `exploration:` settings.

    Raises:
        ValueError: a setting that the method does not have, or a value that it does not take.
    """
    settings = OmegaConf.to_container(exploration, resolve=True)
    assert isinstance(settings, dict)
    if "_target_" not in settings:
        raise ValueError("exploration._target_ is missing: choose a method, as in exploration=g2rl.")
    try:
        method = instantiate(settings)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ValueError):
            raise ValueError(str(cause)) from None
        raise ValueError(f"exploration: {cause or error} (see {settings['_target_']} for its settings).") from None
    for field in fields(method):  # Hydra reads off, no and 0 as what they look like, and text counts as true
        if isinstance(field.default, bool) and not isinstance(value := getattr(method, field.name), bool):
            raise ValueError(f"exploration.{field.name} must be true or false, not {value!r}.")
    return method
