"""Inputs of methods: columns of the log-prob pass, computed in the workers, and inputs that are computed elsewhere.

One that is computed elsewhere is an object with the functions of `Input`, named under `inputs` in the configuration.
The trainer calls them in their order and does not know what is behind them.
"""

from collections.abc import Callable
from typing import Any, Protocol

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from g2rl.methods.base import Method


class Input(Protocol):
    """One input, made by Hydra from its entry of `inputs`, in the driver and again in the trainer."""

    def check(self, config: DictConfig) -> None:
        """In the driver, before Ray starts. A ValueError names what is wrong."""

    def device_share(self, config: DictConfig) -> float:
        """The share of each trainer device's memory that it takes."""

    def check_device(self, config: DictConfig, device_bytes: int, online: bool) -> list[str]:
        """Warnings on that share and on what the input can read; a ValueError where the share is too small.

        Nothing of a hub's but its local cache is read where `online` is false.
        """

    def start(self, config: DictConfig, placement_groups: list[Any]) -> None:
        """In the trainer, once its workers are there; returns when memory on the devices is no longer taken.

        placement_groups: Ray's, one for each node, with a bundle for each trainer device.
        """

    def ask(self, fetch: Callable[..., Any], tokenizer: Any) -> None:
        """At the start of each step's log-prob pass, to be computed beside it.

        `fetch("responses", ...)` gives fields of the step's N rows, nested tensors as verl leaves them.
        """

    def answer(self) -> Tensor:
        """[N, ...] for the rows of the last `ask`."""


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
