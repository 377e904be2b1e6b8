"""The configuration of a run of the laboratory."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

import g2rl.utils.resolvers  # noqa: F401  (what the configurations compute)

CONFIGS = Path(__file__).parents[2] / "configs"


def compose_lab(overrides: Sequence[str]) -> tuple[DictConfig, str]:
    """`configs/lab.yaml` with the overrides, and the name of the task.

    Raises:
        HydraException: an override of a setting that does not exist.
    """
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base=None):
        config = compose("lab", list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)  # run_dir is made of Hydra's choices
    task = str(config.hydra.runtime.choices.task)
    plain = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
    OmegaConf.resolve(plain)
    return plain, task
