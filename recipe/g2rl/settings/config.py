"""What several parts of the recipe read from a composed configuration, each in one place."""

import os
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

import g2rl.utils.resolvers  # noqa: F401  (what the configurations compute)

PACKAGE = Path(__file__).parents[1]
# ${recipe:FILE} in a configuration is a file of this package
OmegaConf.register_new_resolver("recipe", lambda name: str(PACKAGE / name), replace=True)
OmegaConf.register_new_resolver("sum", lambda *numbers: sum(numbers), replace=True)

# verl's ResourcePoolManager reserves three CPU slots for each device; the TransferQueue controller and each of its
# storage units hold one; one more has to be free for the actors that need a slot only while they start.
CPUS_PER_DEVICE = 3
CPUS_FOR_CONTROL = 2

MODES = ("sync", "colocate_async", "separate_async")  # of verl's V1 trainer
OWN_MODE = "g2rl_"  # before the name under which verl finds our trainer of each mode

OWN_ESTIMATOR = "g2rl"  # in algorithm.adv_estimator: GRPO's standardisation with a method of ours around it


class NotThere(ValueError):
    """A model or data that this machine does not have."""


def with_defaults(config: DictConfig) -> DictConfig:
    """The configuration with what exploration adds to a main file of the user's own; verl's older names are moved."""
    from verl.experimental.reward_loop import migrate_legacy_reward_impl  # after Hydra: --help answers at once

    config = migrate_legacy_reward_impl(config)
    ours = OmegaConf.load(PACKAGE / "configs/base.yaml")
    assert isinstance(ours, DictConfig)
    for of_verl in ("defaults", "algorithm", "critic"):
        del ours[of_verl]
    OmegaConf.set_struct(config, False)
    merged = OmegaConf.merge(ours, config)
    assert isinstance(merged, DictConfig)
    merged._metadata.flags = config._metadata.flags
    return merged


def trainer_mode(config: DictConfig) -> str:
    """verl's name of the mode."""
    return str(config.trainer.v1.trainer_mode).removeprefix(OWN_MODE)


def base_estimator(config: DictConfig) -> str:
    """The name of verl's estimator that standardises the method's rewards."""
    name = str(config.algorithm.adv_estimator)
    return "grpo" if name == OWN_ESTIMATOR else name


def trainer_devices(config: DictConfig) -> int:
    return config.trainer.nnodes * config.trainer.n_gpus_per_node


def standalone_devices(config: DictConfig) -> int:
    """Devices of vLLM alone, in verl's mode `separate_async`."""
    rollout = config.actor_rollout_ref.rollout
    disaggregated = trainer_mode(config) == "separate_async"
    return rollout.nnodes * rollout.n_gpus_per_node if disaggregated else 0


def cpus_reserved(config: DictConfig) -> int:
    """Logical CPU slots that verl's actors hold at once, over all nodes."""
    devices = trainer_devices(config) + standalone_devices(config)
    storage_units = config.transfer_queue.backend.SimpleStorage.num_data_storage_units
    return CPUS_PER_DEVICE * devices + storage_units + CPUS_FOR_CONTROL


def ulysses_size(config: DictConfig) -> int:
    """Ranks that share each sequence; verl lets the older of its two settings win."""
    actor = config.actor_rollout_ref.actor
    older, newer = actor.ulysses_sequence_parallel_size, actor.fsdp_config.ulysses_sequence_parallel_size
    return older if older > 1 else newer


def data_files(config: DictConfig, setting: str) -> list[Path]:
    """The local files of `data.train_files` or `data.val_files`."""
    return [Path(path).expanduser() for path in strings(config.data[setting]) if not is_remote(path)]


def make_paths_absolute(config: DictConfig) -> None:
    """The run's folder, its data and models that are folders: the other processes of a cluster start elsewhere."""
    config.run_dir = str(Path(config.run_dir).expanduser().absolute())
    config.trainer.default_local_dir = str(Path(config.trainer.default_local_dir).expanduser().absolute())
    for setting in ("train_files", "val_files"):
        config.data[setting] = [
            path if is_remote(path) else str(Path(path).expanduser().absolute())
            for path in strings(config.data[setting])
        ]
    if config.trainer.resume_mode == "resume_path" and config.trainer.resume_from_path:
        config.trainer.resume_from_path = str(Path(config.trainer.resume_from_path).expanduser().absolute())
    for owner, name in ((config.actor_rollout_ref.model, "path"), (config.inputs.embeddings, "model")):
        if owner[name] is not None and (folder := Path(owner[name]).expanduser()).is_dir():
            owner[name] = str(folder.absolute())


def is_remote(file: str) -> bool:
    """Whether verl fetches it itself."""
    return file.startswith(("hdfs://", "s3://"))


def strings(value: object) -> list[str]:
    """The strings of a setting that takes one string or a list of them."""
    return [str(item) for item in value] if isinstance(value, list | ListConfig) else [str(value)]


def check_model_path(setting: str, path: str) -> None:
    """
    Raises:
        NotThere: `path` does not exist, or is a name that cannot be reached.
        ValueError: it is a folder and no Hugging Face model.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ValueError(f"{setting}={path} has no config.json: it is not a Hugging Face model folder.")
        return
    looks_like_hub_name = path.count("/") == 1 and path[0] not in "./~"
    if not looks_like_hub_name:
        raise NotThere(f"{setting}={path} does not exist.")
    if os.environ.get("HF_HUB_OFFLINE") == "1" and not _in_hub_cache(path):
        raise NotThere(
            f"{setting}={path} is not in the local Hugging Face cache and HF_HUB_OFFLINE=1 forbids to download it."
        )


def _in_hub_cache(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(name, "config.json"), str)
