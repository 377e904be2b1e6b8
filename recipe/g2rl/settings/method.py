"""The method of a run and its inputs, made from `exploration:` and `inputs:` of the configuration."""

from dataclasses import fields

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from g2rl.methods.base import Method
from recipe.g2rl.inputs import Input


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


def build_inputs(config: DictConfig, method: Method) -> dict[str, Input]:
    """Of the inputs that the method names, those that are computed beside the log-prob pass.

    Raises:
        ValueError: a setting that the input does not have.
    """
    found = {}
    for name in sorted(method.inputs & config.inputs.keys()):
        try:
            found[name] = instantiate(config.inputs[name])
        except InstantiationException as error:
            raise ValueError(f"inputs.{name}: {error.__cause__ or error}") from None
    return found


def pass_columns(config: DictConfig, method: Method) -> frozenset[str]:
    """The inputs that the method finds in the batch after the log-prob pass."""
    return method.inputs - config.inputs.keys()
