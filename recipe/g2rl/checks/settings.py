"""What can be wrong with the settings themselves: neither data nor model nor the machine is looked at.

verl makes its own checks in `validate_verl`; here are those it makes late, unclearly or not at all. Each error is one
sentence that names the setting and what to do.
"""

import importlib.util
import io
import os
from contextlib import redirect_stdout

from hydra.errors import InstantiationException
from omegaconf import DictConfig
from verl.plugin.platform import PlatformRegistry
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config
from verl.utils.tracking import Tracking

from g2rl.methods.base import Method
from g2rl.methods.build import build_method
from recipe.g2rl.inputs import build_inputs, pass_columns
from recipe.g2rl.inputs.columns import computed
from recipe.g2rl.settings.config import (
    MODES,
    OWN_ESTIMATOR,
    base_estimator,
    cpus_reserved,
    strings,
    trainer_devices,
    trainer_mode,
    ulysses_size,
)

# Estimators of verl's that need more than the score of each response, or no group, and what that is.
NOT_OUTCOME = {
    "gae": "a critic, which gives every token a value; use one of verl's estimators for outcomes, as grpo",
    "remax": "a greedy response to each prompt as a baseline, which verl's V1 trainer does not sample",
    "gdpo": "several rewards of each response, standardised one by one",
    "optimal_token_baseline": "actor.calculate_sum_pi_squared, which the log-prob pass of exploration leaves out",
    "tir_optimal_token_baseline": "actor.calculate_sum_pi_squared, which the log-prob pass of exploration leaves out",
}


BUILT_IN_LOGGERS = ("console", "file")  # verl's own, which need no package
# The package of a logger that is named otherwise.
PACKAGES = {"vemlp_wandb": "volcengine_ml_platform"}


def check_settings(config: DictConfig) -> list[str]:
    """Warnings, one sentence each.

    Raises:
        ValueError: the first thing found wrong, naming the setting and what to do.
    """
    method = build_method(config.exploration)
    _check_method(config, method)
    _check_estimator(config)
    _check_batch(config)
    _check_sharding(config)
    _check_sampling(config)
    _check_loggers(config)
    _check_checkpoints(config)
    _check_trainer_mode(config)
    _check_platform(config)
    validate_verl(config)
    return _warnings(config)


def validate_verl(config: DictConfig) -> None:
    try:
        with redirect_stdout(io.StringIO()):  # it prints that all is well
            validate_config(
                config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
            )
    except (AssertionError, TypeError, InstantiationException) as error:  # verl's checks are assertions, ours sentences
        raise ValueError(f"verl refuses the configuration: {error.__cause__ or error}") from error


def _check_method(config: DictConfig, method: Method) -> None:
    if config.actor_rollout_ref.rollout.n < method.smallest_group:
        raise ValueError(
            f"actor_rollout_ref.rollout.n={config.actor_rollout_ref.rollout.n}: {type(method).__name__} compares the "
            f"responses to a prompt and needs at least {method.smallest_group} of them."
        )
    columns = pass_columns(config, method)
    computed(columns)
    if columns and _bypasses(config):
        raise ValueError(
            f"algorithm.rollout_correction.bypass_mode=true skips the log-prob pass that {type(method).__name__} takes "
            f"its {', '.join(sorted(columns))} from; set it to false."
        )
    for input in build_inputs(config, method).values():
        input.check(config)
    if method.replaces_advantages and config.algorithm.use_kl_in_reward:
        raise ValueError(
            f"algorithm.use_kl_in_reward=true has no effect on {type(method).__name__}, whose advantages come from the "
            "verdicts alone; use actor_rollout_ref.actor.use_kl_loss=true."
        )
    of_the_estimator = method.reweights and not method.replaces_advantages
    if of_the_estimator and base_estimator(config) == "reinforce_plus_plus":
        raise ValueError(
            f"algorithm.adv_estimator=reinforce_plus_plus gives each token an advantage of its own, and "
            f"{type(method).__name__} re-weights one for the whole response; use {OWN_ESTIMATOR}, or an estimator that "
            "gives all tokens of a response the same."
        )


def _bypasses(config: DictConfig) -> bool:
    return bool((config.algorithm.get("rollout_correction") or {}).get("bypass_mode", False))


def _check_estimator(config: DictConfig) -> None:
    name = base_estimator(config)
    if name not in ADV_ESTIMATOR_REGISTRY:
        raise ValueError(
            f"algorithm.adv_estimator={config.algorithm.adv_estimator} is not known; {OWN_ESTIMATOR} is GRPO's "
            f"standardisation, and verl has {', '.join(sorted(ADV_ESTIMATOR_REGISTRY))}."
        )
    if name in NOT_OUTCOME:
        raise ValueError(f"algorithm.adv_estimator={name} needs {NOT_OUTCOME[name]}; exploration cannot use it.")
    if need_critic(config):
        raise ValueError(
            "critic.enable=true: exploration shapes the rewards of whole responses and has no use for a critic; set it "
            "to false."
        )


def _check_batch(config: DictConfig) -> None:
    prompts, responses = config.data.train_batch_size, config.actor_rollout_ref.rollout.n
    mini = config.actor_rollout_ref.actor.ppo_mini_batch_size
    data_parallel = max(1, trainer_devices(config) // ulysses_size(config))
    if prompts % mini:
        raise ValueError(
            f"data.train_batch_size={prompts} prompts cannot be divided into mini-batches of "
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini}."
        )
    if mini * responses % data_parallel:
        raise ValueError(
            f"a mini-batch of {mini} prompts x {responses} responses cannot be divided among {data_parallel} "
            f"data-parallel ranks; change actor_rollout_ref.actor.ppo_mini_batch_size or actor_rollout_ref.rollout.n."
        )


def _check_sharding(config: DictConfig) -> None:
    model, strategy = config.actor_rollout_ref.model, config.actor_rollout_ref.actor.strategy
    if strategy not in ("fsdp", "fsdp2"):
        raise ValueError(
            f"actor_rollout_ref.actor.strategy={strategy}: the log-prob pass is written for verl's FSDP engine; use "
            f"fsdp2 or fsdp."
        )
    if strategy == "fsdp" and config.trainer.device == "cpu":
        raise ValueError(
            "actor_rollout_ref.actor.strategy=fsdp: verl asks FSDP1 for sync_module_states, which PyTorch refuses for "
            "weights on a CPU; use fsdp2 with trainer.device=cpu."
        )
    if config.actor_rollout_ref.actor.use_prefix_grouper:
        raise ValueError(
            "actor_rollout_ref.actor.use_prefix_grouper=true: verl's V1 trainers do not read it; set it to false."
        )
    ranks, devices = ulysses_size(config), trainer_devices(config)
    attention = (model.get("override_config") or {}).get("attn_implementation", "flash_attention_2")
    setting = f"actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size={ranks}"
    if devices % ranks:
        raise ValueError(f"{setting} does not divide the {devices} devices of nnodes x n_gpus_per_node.")
    if ranks > 1 and not attention.startswith("flash_attention"):
        raise ValueError(
            f"{setting} with attn_implementation={attention}: verl joins the slices of a sequence inside "
            f"flash-attention only, and with any other attention each rank would silently attend to its own slice "
            f"alone; use flash_attention_2, or a size of 1."
        )
    if ranks > 1 and not model.use_remove_padding:
        raise ValueError(f"{setting} needs actor_rollout_ref.model.use_remove_padding=true.")


def _check_loggers(config: DictConfig) -> None:
    known = Tracking.supported_backend
    for logger in strings(config.trainer.logger):
        if logger not in known:
            raise ValueError(f"trainer.logger: verl has no logger {logger!r}, only {', '.join(known)}.")
        package = PACKAGES.get(logger, logger)
        if logger not in BUILT_IN_LOGGERS and importlib.util.find_spec(package) is None:
            raise ValueError(
                f"trainer.logger={logger} needs the package {package}, which is not installed; pip install "
                f"{package.replace('_', '-')}, or leave it out."
            )


def _check_sampling(config: DictConfig) -> None:
    rollout = config.actor_rollout_ref.rollout
    if rollout.temperature <= 0 or rollout.top_k == 1:
        setting = f"temperature={rollout.temperature}" if rollout.temperature <= 0 else "top_k=1"
        raise ValueError(
            f"actor_rollout_ref.rollout.{setting} makes all responses to a prompt the same, so that there is nothing "
            f"to learn from; the papers sample at temperature 1 and top_k -1."
        )
    if rollout.max_num_batched_tokens < rollout.max_num_seqs:
        raise ValueError(
            f"actor_rollout_ref.rollout.max_num_batched_tokens={rollout.max_num_batched_tokens} is less than "
            f"actor_rollout_ref.rollout.max_num_seqs={rollout.max_num_seqs}, which vLLM refuses; raise the first."
        )


def _check_checkpoints(config: DictConfig) -> None:
    if config.actor_rollout_ref.actor.checkpoint.get("async_save", False):
        raise ValueError(
            "actor_rollout_ref.actor.checkpoint.async_save=true writes on while the run goes on, so that nobody knows "
            "when a checkpoint is whole; set it to false."
        )


def _check_trainer_mode(config: DictConfig) -> None:
    mode, rollout = trainer_mode(config), config.actor_rollout_ref.rollout
    if mode not in MODES:
        raise ValueError(f"trainer.v1.trainer_mode={mode} is none of {', '.join(MODES)}.")
    if mode != "separate_async":
        return
    if rollout.nnodes < 1 or rollout.n_gpus_per_node < 1:
        raise ValueError(
            "trainer.v1.trainer_mode=separate_async needs devices for the rollout alone: set "
            "actor_rollout_ref.rollout.nnodes and actor_rollout_ref.rollout.n_gpus_per_node."
        )
    if rollout.checkpoint_engine.backend == "naive":
        raise ValueError(
            "actor_rollout_ref.rollout.checkpoint_engine.backend=naive moves weights within a device; with "
            "trainer.v1.trainer_mode=separate_async use nccl (on a CPU shared_memory, recipe/g2rl/cpu/weights.py)."
        )
    prompts, mini = config.data.train_batch_size, config.actor_rollout_ref.actor.ppo_mini_batch_size
    if prompts != (updates := config.trainer.v1.separate_async.parameter_sync_step) * mini:
        raise ValueError(
            f"data.train_batch_size={prompts} must be trainer.v1.separate_async.parameter_sync_step={updates} x "
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini} with trainer.v1.trainer_mode=separate_async."
        )


def _check_platform(config: DictConfig) -> None:
    on_cpu = os.environ.get("VERL_PLATFORM") == "cpu"
    if on_cpu and PlatformRegistry.get("cpu") is None:
        raise ValueError("the plugin did not load (import recipe.g2rl.plugin says why), so verl has no CPU platform.")
    if (config.trainer.device == "cpu") != on_cpu:
        raise ValueError(
            f"trainer.device={config.trainer.device} with VERL_PLATFORM={os.environ.get('VERL_PLATFORM', '')!r}: "
            f"use hardware=cpu together with VERL_PLATFORM=cpu, as scripts/run_g2rl_cpu.sh does."
        )
    available = config.ray_kwargs.ray_init.num_cpus
    if available is not None:  # else Ray counts the machine's own, or a running cluster's
        needed = cpus_reserved(config)
        if available < needed:
            raise ValueError(
                f"ray_kwargs.ray_init.num_cpus={available} logical CPU slots, but verl will reserve {needed} and wait "
                f"for them silently; set it to at least {needed} (they need not be real cores)."
            )


def _warnings(config: DictConfig) -> list[str]:
    """Settings that do not do what people choose them for."""
    actor, warnings = config.actor_rollout_ref.actor, []
    one_update = config.data.train_batch_size == actor.ppo_mini_batch_size and actor.ppo_epochs == 1
    # Else the ratio is to other weights' probabilities, or to those that the rollout says.
    one_update &= trainer_mode(config) != "separate_async" and not _bypasses(config)
    low, high = actor.clip_ratio_low, actor.clip_ratio_high
    loss = actor.policy_loss.loss_mode
    if one_update and (low != high or loss in ("clip_cov", "kl_cov")):
        what = f"policy_loss.loss_mode={loss}" if loss != "vanilla" else f"clip_ratio_low={low}, clip_ratio_high={high}"
        warnings.append(
            f"actor_rollout_ref.actor.{what} changes nothing: a batch is one mini-batch and one epoch, so the ratio of "
            f"new to old probabilities is 1; lower ppo_mini_batch_size below data.train_batch_size="
            f"{config.data.train_batch_size} or raise ppo_epochs."
        )
    for role in ("actor", "ref"):
        if config.actor_rollout_ref[role].get("fsdp_config", {}).get("model_dtype") in ("bf16", "bfloat16"):
            warnings.append(
                f"actor_rollout_ref.{role}.fsdp_config.model_dtype=bfloat16 also rounds the frequencies of rotary "
                "positions, by up to radians at position 2,000, which vLLM keeps in float32; leave it float32 (passes "
                "compute in bfloat16 all the same, by mixed precision)."
            )
    if base_estimator(config) == "grpo_passk":
        warnings.append(
            "algorithm.adv_estimator=grpo_passk is verl's form of arXiv 2503.19595: with binary rewards it gives an "
            "advantage only where exactly one response of a group is right; exploration=passk is the other method of "
            "that name (arXiv 2508.10751)."
        )
    return warnings
