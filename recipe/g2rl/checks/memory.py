"""How much memory a run takes on each device, from the shape of the model and the settings alone.

Weights, gradients and optimizer are arithmetic and exact. Activations count what a dense decoder layer of transformers
saves for its backward pass under autocast with flash-attention; what fragmentation and communication add is left out.

Shape suffixes in the comments: T tokens of a micro-batch on one device, H hidden, I intermediate, V vocabulary.
"""

import re
from dataclasses import dataclass

import torch
from omegaconf import DictConfig
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PretrainedConfig
from verl.trainer.ppo.utils import need_reference_policy
from verl.utils.torch_dtypes import PrecisionType

from g2rl.methods.build import build_method
from g2rl.ops.token_pass import CHUNK_SIZE, SEQUENCE_BLOCK
from recipe.g2rl.inputs import build_inputs
from recipe.g2rl.settings.config import standalone_devices, trainer_devices, ulysses_size

GIB = 2**30
FLOAT32 = 4


@dataclass(frozen=True)
class ModelShape:
    """A causal language model without its weights; all counts are of parameters."""

    parameters: int
    largest_layer: int  # what FSDP gathers for one layer
    root: int  # what FSDP gathers with the whole model: the tied embedding, the last norm
    trainable: int  # all, or the adapters of LoRA
    layers: int
    hidden: int
    intermediate: int
    query_width: int  # heads x head size
    key_width: int
    normalizes_queries: bool
    vocabulary: int
    positions: int


def model_shape(
    config: PretrainedConfig, lora_rank: int = 0, target_modules: str | list[str] = "all-linear"
) -> ModelShape:
    """The shape of the model that `config` describes, by building it without storage.

    With `lora_rank` > 0 the adapters are counted as PEFT places them: on every linear layer but the LM head, on those
    whose last name is listed, or on those whose full name matches the expression.
    """
    sees = type(config) in AutoModelForImageTextToText._model_mapping  # as verl asks, whose class it loads then
    with torch.device("meta"):
        model = (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_config(config)
    text = config.get_text_config()
    units = [unit for unit in model.modules() if type(unit).__name__ in (model._no_split_modules or ())]
    in_layers = [_count(unit) for unit in units]
    total = _count(model)
    root = total - sum(in_layers)
    if not config.tie_word_embeddings:  # verl wraps embedding and head each by itself
        root -= text.vocab_size * text.hidden_size * 2
        in_layers.append(text.vocab_size * text.hidden_size)
    head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    adapters = 0
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and _has_adapter(name, module is model.lm_head, target_modules):
            adapters += lora_rank * (module.in_features + module.out_features)
    return ModelShape(
        parameters=total + adapters,
        largest_layer=max(in_layers),
        root=root,
        trainable=adapters if lora_rank else total,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        query_width=text.num_attention_heads * head_size,
        key_width=text.num_key_value_heads * head_size,
        normalizes_queries=any(name.endswith("q_norm") for name, _ in model.named_modules()),
        vocabulary=text.vocab_size,
        positions=text.max_position_embeddings,
    )


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _has_adapter(name: str, is_head: bool, target_modules: str | list[str]) -> bool:
    if target_modules == "all-linear":
        return not is_head
    if isinstance(target_modules, str):
        return re.fullmatch(target_modules, name) is not None
    return name.rpartition(".")[2] in target_modules


@dataclass(frozen=True)
class Step:
    """One training step, at the most tokens that the settings allow."""

    sequences: int
    max_length: int  # prompt and response
    devices: int
    data_parallel: int
    rollout_devices: int  # vLLM's: the trainer's, others (disaggregated rollout), or both
    micro_batch_tokens: int  # T of the update, on one device
    log_prob_tokens: int  # T of the actor's log-prob pass, on one device
    reference_tokens: int  # T of the reference model's

    @property
    def tokens(self) -> int:
        return self.sequences * self.max_length


def shares_devices(config: DictConfig) -> bool:
    """Does vLLM run on the trainer's devices?"""
    return config.actor_rollout_ref.hybrid_engine or not standalone_devices(config)


def step(config: DictConfig) -> Step:
    actor, rollout, reference = (config.actor_rollout_ref[part] for part in ("actor", "rollout", "ref"))
    devices, slices = trainer_devices(config), ulysses_size(config)
    max_length = config.data.max_prompt_length + config.data.max_response_length
    sequences = config.data.train_batch_size * rollout.n
    data_parallel = max(1, devices // slices)

    def tokens(sequences: int, limit: int, rows: int | None) -> int:
        """Of a micro-batch on one device: as many as are there, up to verl's limit in tokens or in rows."""
        there = -(-sequences // data_parallel) * max_length // slices
        return min(there, limit if actor.use_dynamic_bsz else (rows or 1) * max_length // slices)

    return Step(
        sequences=sequences,
        max_length=max_length,
        devices=devices,
        data_parallel=data_parallel,
        rollout_devices=devices * shares_devices(config) + standalone_devices(config),
        micro_batch_tokens=tokens(
            actor.ppo_mini_batch_size * rollout.n, actor.ppo_max_token_len_per_gpu, actor.ppo_micro_batch_size_per_gpu
        ),
        log_prob_tokens=tokens(
            sequences, rollout.log_prob_max_token_len_per_gpu, rollout.log_prob_micro_batch_size_per_gpu
        ),
        reference_tokens=tokens(
            sequences, reference.log_prob_max_token_len_per_gpu, reference.log_prob_micro_batch_size_per_gpu
        ),
    )


@dataclass(frozen=True)
class Memory:
    """Bytes on each device. The last four are the sums that have to fit, one for each phase of a step."""

    weights: int
    gradients: int
    optimizer: int
    gathered: int  # parameters of a layer and of the root in the precision of the computation, their gradients
    activations: int  # of the update
    logits: int  # of the update
    rollout_weights: int
    cache: int  # what is left of vLLM's share

    update: int
    log_prob: int
    reference: int
    rollout: int


def memory(config: DictConfig, shape: ModelShape, device_bytes: int, cache_gib: float | None = None) -> Memory:
    """What the phases of a step take of a device with `device_bytes` of memory.

    vLLM takes its share of the device, or on a CPU `cache_gib` (VLLM_CPU_KVCACHE_SPACE) beside its weights. There the
    reference model stays where the actor is, and hardware/cpu gives nothing back between the phases.
    """
    model, actor, rollout = (config.actor_rollout_ref[part] for part in ("model", "actor", "rollout"))
    engine = actor.fsdp_config
    now = step(config)
    shards = now.devices if not 0 < engine.fsdp_size < now.devices else engine.fsdp_size
    stored = _bytes(engine.model_dtype or "fp32")
    computed = _bytes((engine.get("mixed_precision") or {}).get("param_dtype", "bf16"))

    weights = shape.parameters * stored // shards
    gradients = shape.trainable * stored // shards
    optimizer = 2 * gradients  # Adam's two moments
    # The layer at work and the one that is fetched, in the computation's precision.
    gathered_forward = computed * (shape.root + 2 * shape.largest_layer)
    # The gradient of the larger one, as computed and as float32 on its way to the other ranks.
    largest = max(shape.root, shape.largest_layer)
    gathered = gathered_forward + (computed + FLOAT32) * largest * shape.trainable // shape.parameters

    T = now.micro_batch_tokens
    saved = layer_activations(shape, computed)
    if model.enable_gradient_checkpointing:
        kept, recomputed = shape.layers * shape.hidden * computed, saved
    else:
        kept, recomputed = shape.layers * saved, 0
    backward = 3 * shape.intermediate * computed  # gradients within the MLP
    activations = T * (kept + (FLOAT32 + 2 * computed) * shape.hidden)
    with_entropy = actor.calculate_entropy or actor.entropy_coeff != 0
    scaled = rollout.temperature != 1.0  # a copy of them
    # Logits whose gradient takes their place; with an entropy term it cannot, and a second gradient is added.
    copies = 0 if model.use_fused_kernels else (4 if with_entropy else 1) + scaled
    logits = T * shape.vocabulary * computed * copies

    forward = _forward_activations(shape, computed)
    tokens = now.log_prob_tokens
    # Logits of a chunk; residuals of its sequences, on GPUs with what their product takes (g2rl/ops/matmul.py).
    residual = FLOAT32 if config.trainer.device == "cpu" else FLOAT32 + 14
    chunk = min(tokens, CHUNK_SIZE[config.trainer.device])
    pooled = shape.vocabulary * (chunk * FLOAT32 + min(now.sequences, SEQUENCE_BLOCK) * residual)
    with_reference = need_reference_policy(config)
    full_logits = 0 if model.use_fused_kernels else shape.vocabulary * computed * (1 + scaled)
    is_lora = shape.trainable < shape.parameters  # then the reference model is the actor without its adapters
    reference_tokens = now.log_prob_tokens if is_lora else now.reference_tokens
    reference = gathered_forward + reference_tokens * (forward + full_logits)

    parallel = rollout.tensor_model_parallel_size
    rollout_weights = shape.parameters * _bytes(rollout.dtype) // parallel
    profiled = rollout.max_num_batched_tokens * forward + rollout.max_num_seqs * shape.vocabulary * FLOAT32
    share = int(rollout.gpu_memory_utilization * device_bytes)
    kept_optimizer = 0 if engine.optimizer_offload else optimizer
    kept_between = (0 if engine.param_offload else weights) + kept_optimizer
    inputs = build_inputs(config, build_method(config.exploration)).values()
    other = int(sum(input.device_share(config) for input in inputs) * device_bytes)
    if cache_gib is not None:
        share = rollout_weights + profiled + int(cache_gib * GIB)
    if config.trainer.device == "cpu" and with_reference and not is_lora:
        stored_reference = _bytes(config.actor_rollout_ref.ref.fsdp_config.model_dtype or "fp32")
        other = shape.parameters * stored_reference // shards
    shared = shares_devices(config)
    held = share if shared and not rollout.free_cache_engine else 0
    return Memory(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        gathered=gathered,
        activations=activations + T * recomputed,
        logits=logits,
        rollout_weights=rollout_weights,
        cache=share - rollout_weights - profiled,
        update=held
        + other
        + weights
        + gradients
        + optimizer
        + gathered
        + activations
        + max(logits, T * (recomputed + backward)),
        # With `param_offload` verl loads the actor's weights for its own passes.
        log_prob=held + other + weights + kept_optimizer + gathered_forward + tokens * forward + pooled,
        reference=held + other + (weights + kept_optimizer if is_lora else kept_between) + reference
        if with_reference
        else 0,
        rollout=share + shared * (other + kept_between),
    )


def layer_activations(shape: ModelShape, computed: int) -> int:
    """Bytes a token that one decoder layer saves for its backward pass, in a precision of `computed` bytes.

    Two norms save their input in float32 and their output before the weight; so do those of queries and keys. The
    linear layers save what goes in, flash-attention queries, keys, values and output, the MLP its gate, the gate's
    activation, the other half and their product.
    """
    norms = 2 * (FLOAT32 + computed) * shape.hidden
    if shape.normalizes_queries:
        norms += (FLOAT32 + computed) * (shape.query_width + shape.key_width)
    linear = 2 * shape.hidden + shape.query_width
    attention = shape.query_width + 2 * shape.key_width
    return norms + computed * (linear + attention + 4 * shape.intermediate)


def _forward_activations(shape: ModelShape, computed: int) -> int:
    """Bytes a token at the widest place of a layer without gradients: residual, norm, gate and the two that follow."""
    return (FLOAT32 + computed) * shape.hidden + 3 * computed * shape.intermediate


def cache_bytes_per_token(config: DictConfig, shape: ModelShape) -> int:
    """Keys and values of one token on one device of a vLLM server."""
    rollout = config.actor_rollout_ref.rollout
    return 2 * shape.layers * shape.key_width * _bytes(rollout.dtype) // rollout.tensor_model_parallel_size


def checkpoint_bytes(config: DictConfig, shape: ModelShape) -> int:
    """Of one checkpoint, all ranks together; with hybrid sharding every group of shards writes its own."""
    actor = config.actor_rollout_ref.actor
    engine, contents = actor.fsdp_config, actor.checkpoint.save_contents
    devices = trainer_devices(config)
    groups = devices // engine.fsdp_size if 0 < engine.fsdp_size < devices else 1
    stored = _bytes(engine.model_dtype or "fp32")
    shards = shape.parameters * ("model" in contents) + 2 * shape.trainable * ("optimizer" in contents)
    return stored * (groups * shards + shape.parameters * ("hf_model" in contents))


def _bytes(precision: str) -> int:
    return PrecisionType.to_dtype(precision).itemsize
