"""What a run takes of this machine: lengths, memory, versions, disk. What is certain is refused, estimates warn."""

import os
import shutil
from pathlib import Path

from omegaconf import DictConfig
from ray._common.utils import get_system_memory  # what a container may use, where it has a limit
from transformers import AutoConfig, PretrainedConfig
from verl.trainer.ppo.utils import need_reference_policy
from verl.utils.torch_dtypes import PrecisionType

from g2rl.methods.build import build_method
from recipe.g2rl.checks import environment
from recipe.g2rl.checks.memory import (
    GIB,
    Memory,
    ModelShape,
    Step,
    cache_bytes_per_token,
    checkpoint_bytes,
    memory,
    model_shape,
    step,
)
from recipe.g2rl.checks.packages import check_packed_attention
from recipe.g2rl.inputs import build_inputs
from recipe.g2rl.saving.checkpoint_files import by_step
from recipe.g2rl.settings.config import NotThere, standalone_devices, ulysses_size

# Above this share of a device an estimate is a warning: fragmentation and communication take what is left.
FULL = 0.9


def preflight(config: DictConfig, *, online: bool = True) -> tuple[str, list[str]]:
    """What the run will take, as a table, and warnings, each one sentence with the setting to change.

    Looks at this machine only, and not at the number of its GPUs. Reads the model's config.json and nothing else of it,
    with `online` false from the local cache alone.

    Raises:
        NotThere: the model's config.json cannot be read.
        ValueError: the run cannot start or cannot go on; one sentence with the setting to change.
    """
    described = describe(config, online)
    check_packed_attention(config, described)
    shape = shape_of(config, described)
    device_bytes = memory_of_a_device(config)
    now = step(config)
    cache_gib = os.environ.get("VLLM_CPU_KVCACHE_SPACE") if config.trainer.device == "cpu" else None
    taken = memory(config, shape, device_bytes, float(cache_gib) if cache_gib else None)
    warnings = _unpinned(config)
    _check_lengths(config, shape)
    warnings += _check_host_memory(config, shape)
    warnings += _check_memory(config, shape, taken, device_bytes)
    for input in build_inputs(config, build_method(config.exploration)).values():
        warnings += input.check_device(config, device_bytes, online)
    warnings += _check_disk(config, checkpoint_bytes(config, shape))
    return _table(config, shape, now, taken, device_bytes), warnings


def describe(config: DictConfig, online: bool) -> PretrainedConfig:
    """The model's own config.json."""
    model = config.actor_rollout_ref.model
    path = Path(model.path).expanduser()
    try:
        return AutoConfig.from_pretrained(
            str(path) if path.is_dir() else model.path,
            trust_remote_code=model.trust_remote_code,
            local_files_only=not online,
        )
    except OSError as error:
        reason = str(error).splitlines()[0] if online else "its config.json is not in the local Hugging Face cache"
        raise NotThere(f"actor_rollout_ref.model.path={model.path}: {reason}") from None


def shape_of(config: DictConfig, described: PretrainedConfig) -> ModelShape:
    targets = config.actor_rollout_ref.model.target_modules
    return model_shape(described, lora_rank(config), targets if isinstance(targets, str) else list(targets))


def lora_rank(config: DictConfig) -> int:
    model = config.actor_rollout_ref.model
    return max(model.lora_rank, model.lora.rank)  # verl has two names for it


def memory_of_a_device(config: DictConfig) -> int:
    """Bytes. On a CPU the ranks of a node share its memory; without a GPU to ask, hardware=... says what it is for."""
    if config.trainer.device == "cpu":
        return get_system_memory() // config.trainer.n_gpus_per_node
    found = environment.gpu_memory_gib()
    return int(min(found or [config.gpu_memory_gib]) * GIB)


def cluster_address(config: DictConfig) -> str | None:
    """Of the Ray that is already there and that the run connects to; None for a run that starts its own."""
    address = config.ray_kwargs.ray_init.get("address") or os.environ.get("RAY_ADDRESS")
    return None if address == "local" else address


def _unpinned(config: DictConfig) -> list[str]:
    if config.trainer.device == "cpu":
        return []
    warnings = [f"{words}, verl's own pin: requirements/gpu.txt has it." for words in environment.unpinned_versions()]
    return warnings + environment.old_driver()


def check_devices(config: DictConfig) -> None:
    """
    Raises:
        ValueError: this machine has fewer GPUs than the run asks of it, or there is no cluster for several nodes.
    """
    nodes = config.trainer.nnodes
    wanted = config.trainer.n_gpus_per_node + standalone_devices(config)
    if cluster_address(config):
        return
    if nodes > 1:
        raise ValueError(
            f"trainer.nnodes={nodes} without a Ray cluster to run on; start one (docs/cluster.md) "
            f"and add hardware=cluster."
        )
    if config.trainer.device != "cpu" and wanted > (found := len(environment.gpu_memory_gib())):
        raise ValueError(
            f"the run is set up for {wanted} GPUs and this machine has {found}; change trainer.n_gpus_per_node (and "
            f"with disaggregated rollout actor_rollout_ref.rollout.n_gpus_per_node)."
        )


def _check_lengths(config: DictConfig, shape: ModelShape) -> None:
    actor, rollout, reference = (config.actor_rollout_ref[part] for part in ("actor", "rollout", "ref"))
    length = step(config).max_length
    words = f"data.max_prompt_length + data.max_response_length = {length:,} tokens"
    if length > shape.positions:
        raise ValueError(
            f"{words} is more than the {shape.positions:,} positions that the model knows; make it shorter."
        )
    if rollout.max_model_len and rollout.max_model_len < length:
        raise ValueError(
            f"actor_rollout_ref.rollout.max_model_len={rollout.max_model_len} would cut off responses ({words}); "
            f"set it to at least {length}."
        )
    slices = ulysses_size(config)
    limits = {
        "actor.ppo_max_token_len_per_gpu": actor.ppo_max_token_len_per_gpu,
        "rollout.log_prob_max_token_len_per_gpu": rollout.log_prob_max_token_len_per_gpu,
    }
    if need_reference_policy(config) and not lora_rank(config):
        limits["ref.log_prob_max_token_len_per_gpu"] = reference.log_prob_max_token_len_per_gpu
    for setting, limit in limits.items():
        if actor.use_dynamic_bsz and limit * slices < length:
            raise ValueError(
                f"actor_rollout_ref.{setting}={limit} holds no response of full length ({words}); "
                f"set it to at least {-(-length // slices)}."
            )


def _check_host_memory(config: DictConfig, shape: ModelShape) -> list[str]:
    """verl loads tied weights whole, in the precision in which they are kept, in every process of a node at once.

    The reference model comes first, and its shards stay in the host's memory.
    """
    is_tied = shape.root >= shape.vocabulary * shape.hidden
    if config.trainer.device == "cpu" or not is_tied:
        return []
    actor, reference = (
        PrecisionType.to_dtype(config.actor_rollout_ref[part].fsdp_config.model_dtype or "fp32").itemsize
        for part in ("actor", "ref")
    )
    loaded = config.trainer.n_gpus_per_node * shape.parameters * actor
    if need_reference_policy(config) and not lora_rank(config):
        loaded += shape.parameters * reference // config.trainer.nnodes
    there = get_system_memory()
    if loaded <= FULL * there:
        return []
    return [
        f"{config.trainer.n_gpus_per_node} processes load the model's tied weights whole, {_gib(loaded)} with the "
        f"reference model, and this machine has {_gib(there)}; use fewer GPUs of a node (trainer.n_gpus_per_node) or "
        "more memory."
    ]


def _check_memory(config: DictConfig, shape: ModelShape, taken: Memory, device_bytes: int) -> list[str]:
    rollout = config.actor_rollout_ref.rollout
    state = taken.weights + taken.gradients + taken.optimizer
    if state > device_bytes:
        raise ValueError(
            f"weights, gradients and optimizer take {_gib(state)} of a device with {_gib(device_bytes)}; "
            f"use more devices (trainer.nnodes, trainer.n_gpus_per_node) or actor_rollout_ref.model.lora_rank."
        )
    if taken.rollout > device_bytes and config.trainer.device == "cpu":
        raise ValueError(
            f"vLLM and what the trainer keeps come to {_gib(taken.rollout)}, and a process may have "
            f"{_gib(device_bytes)}; lower VLLM_CPU_KVCACHE_SPACE (GiB of vLLM's cache), or give the machine or the "
            f"container more memory."
        )
    if taken.rollout > device_bytes:
        raise ValueError(
            f"actor_rollout_ref.rollout.gpu_memory_utilization={rollout.gpu_memory_utilization} and what the trainer "
            f"keeps come to {_gib(taken.rollout)} of a device with {_gib(device_bytes)}; lower it or set "
            f"actor_rollout_ref.actor.fsdp_config.param_offload and optimizer_offload."
        )
    longest = rollout.max_model_len or shape.positions
    if taken.cache < longest * cache_bytes_per_token(config, shape):
        raise ValueError(
            f"vLLM has {_gib(max(0, taken.cache))} for its cache, too little for one sequence of {longest:,} tokens; "
            f"raise actor_rollout_ref.rollout.gpu_memory_utilization or tensor_model_parallel_size, or set "
            f"max_model_len."
        )
    remedies = {
        "update": "actor.ppo_max_token_len_per_gpu, model.use_fused_kernels=true, "
        "or actor.fsdp_config.ulysses_sequence_parallel_size",
        "log_prob": "rollout.log_prob_max_token_len_per_gpu",
        "reference": f"{'rollout' if lora_rank(config) else 'ref'}.log_prob_max_token_len_per_gpu",
        # When vLLM wakes, CUDA contexts and NCCL are there too.
        "rollout": "rollout.gpu_memory_utilization, or actor.fsdp_config.param_offload=true and optimizer_offload=true",
    }
    names = {"update": "update pass", "log_prob": "log-prob pass", "reference": "reference pass", "rollout": "rollout"}
    return [
        f"the {names[phase]} takes about {_gib(getattr(taken, phase))} of a device with {_gib(device_bytes)}; it may "
        f"run out of memory: lower or set actor_rollout_ref.{remedy}."
        for phase, remedy in remedies.items()
        if getattr(taken, phase) > FULL * device_bytes
    ]


def _check_disk(config: DictConfig, checkpoint: int) -> list[str]:
    trainer = config.trainer
    if trainer.save_freq <= 0:
        return []
    folder = Path(trainer.default_local_dir).expanduser().absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < checkpoint:
        raise ValueError(
            f"a checkpoint takes {_gib(checkpoint)} and {existing} has {_gib(free)} free; make room, choose another "
            f"run_dir, or save less (trainer.save_freq=-1, actor_rollout_ref.actor.checkpoint.save_contents)."
        )
    kept, there = _checkpoints_kept(config), len(by_step(folder))
    # The next one is written before the oldest is removed.
    missing = (max(0, kept - there) + 1) * checkpoint
    if free < missing:
        return [
            f"{kept} checkpoints of {_gib(checkpoint)} are kept, and {existing} has {_gib(free)} free; "
            f"lower trainer.max_actor_ckpt_to_keep or raise trainer.save_freq."
        ]
    return []


def _checkpoints_kept(config: DictConfig) -> int:
    trainer = config.trainer
    saved = -(-(trainer.total_training_steps or 0) // trainer.save_freq) or 1
    return min(saved, trainer.max_actor_ckpt_to_keep or saved)


def _table(config: DictConfig, shape: ModelShape, now: Step, taken: Memory, device_bytes: int) -> str:
    rollout, trainer = config.actor_rollout_ref.rollout, config.trainer
    servers = max(1, now.rollout_devices // rollout.tensor_model_parallel_size)
    cached = max(0, taken.cache) // cache_bytes_per_token(config, shape)
    lora = f", {shape.trainable / 1e6:,.1f}M of them trained" if shape.trainable != shape.parameters else ""
    rows = [
        (
            "model",
            f"{shape.parameters / 1e6:,.1f}M parameters{lora}; {shape.layers} layers, hidden {shape.hidden}, "
            f"vocabulary {shape.vocabulary:,}",
        ),
        ("devices", f"{trainer.nnodes} x {trainer.n_gpus_per_node} with {_gib(device_bytes)} each"),
        (
            "step",
            f"{now.tokens:,} tokens at most: {now.sequences} sequences of {now.max_length:,}; "
            f"{now.micro_batch_tokens:,} a device and micro-batch",
        ),
        (
            "per device",
            f"weights {_gib(taken.weights)}, gradients {_gib(taken.gradients)}, optimizer {_gib(taken.optimizer)}",
        ),
        (
            "update",
            f"{_gib(taken.update)}: the above, gathered layers {_gib(taken.gathered)}, activations "
            f"{_gib(taken.activations)}, logits {_gib(taken.logits)} (the last two not all at once)",
        ),
        ("log-prob pass", f"{_gib(taken.log_prob)}; reference model's {_gib(taken.reference)}"),
        ("rollout", f"{_gib(taken.rollout)}: vLLM's weights {_gib(taken.rollout_weights)}, cache {_gib(taken.cache)}"),
        (
            "vLLM's cache",
            f"{cached:,} tokens: {cached // now.max_length} sequences of full length at once, of "
            f"{now.sequences // servers} a server",
        ),
        ("checkpoint", f"{_gib(checkpoint_bytes(config, shape))}, {_checkpoints_kept(config)} kept")
        if trainer.save_freq > 0
        else ("checkpoint", "none (trainer.save_freq)"),
    ]
    return "\n".join(f"{name:14} {words}" for name, words in rows)


def _gib(number: float) -> str:
    return f"{number / GIB:.1f} GiB" if number >= 0.1 * GIB else f"{number / 2**20:.1f} MiB"
