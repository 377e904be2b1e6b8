"""Packages that only some settings need: verl would miss them once the model is loaded, or compute something else."""

import importlib.util

from omegaconf import DictConfig
from transformers import PretrainedConfig
from verl.checkpoint_engine import CheckpointEngineRegistry
from verl.utils.import_utils import import_external_libs

from recipe.g2rl.settings.config import trainer_mode

ATTENTION = "actor_rollout_ref.model.override_config.attn_implementation"
# Models whose packed attention verl replaces by flash-attention, whatever the setting says.
PACKED_BY_FLASH_ATTENTION = ("qwen2_vl", "qwen2_5_vl")
# Models whose linear attention verl tells where one packed sequence ends.
LINEAR_ATTENTION = ("qwen3_5", "qwen3_5_moe")


def check_packages(config: DictConfig) -> None:
    """
    Raises:
        ValueError: the actors' attention, or what sends weights to separate rollout servers, is not installed here.
    """
    attention = (config.actor_rollout_ref.model.get("override_config") or {}).get(
        "attn_implementation", "flash_attention_2"
    )
    if config.trainer.device != "cpu" and attention == "flash_attention_2" and not _flash_attention():
        raise ValueError(
            f"flash-attn is not installed, which the actors' attention uses on GPUs; pip install "
            f"--no-build-isolation flash-attn==2.8.3, or set +{ATTENTION}=sdpa."
        )
    engine = config.actor_rollout_ref.rollout.checkpoint_engine
    if trainer_mode(config) != "separate_async":
        return
    import_external_libs(engine.get("custom_backend_module"))
    try:
        CheckpointEngineRegistry.get(engine.backend)
    except ValueError as error:
        missing = "; pip install cupy-cuda13x==14.0.1, which it needs" if engine.backend == "nccl" else ""
        raise ValueError(
            f"actor_rollout_ref.rollout.checkpoint_engine.backend={engine.backend} is not there ({error}){missing}."
        ) from None


def check_packed_attention(config: DictConfig, described: PretrainedConfig) -> None:
    """
    Raises:
        ValueError: packed sequences of this model need a kernel that is not here, or would run into each other.
    """
    if not config.actor_rollout_ref.model.use_remove_padding:
        return
    kind, layers = described.model_type, getattr(described.get_text_config(), "layer_types", None) or ()
    if kind in PACKED_BY_FLASH_ATTENTION and not _flash_attention():
        why = f"verl packs the sequences of {kind} with flash-attention only, which is not installed"
    elif "linear_attention" not in layers:
        return
    elif kind not in LINEAR_ATTENTION:
        why = f"verl does not tell the linear attention of {kind} where one packed sequence ends"
    elif config.trainer.device == "cpu" or importlib.util.find_spec("fla") is None:
        # The function that stands in for the kernel takes the bounds of the sequences and does not look at them.
        why = f"packed sequences of {kind} run into each other without flash-linear-attention on a GPU"
    else:
        return
    raise ValueError(
        f"{why}; set actor_rollout_ref.model.use_remove_padding=false, or install what requirements/gpu.txt names."
    )


def _flash_attention() -> bool:
    return importlib.util.find_spec("flash_attn") is not None
