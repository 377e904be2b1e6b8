"""Everything that can be wrong with a run's settings, found before Ray starts. Each error is one sentence.

verl makes its own checks in `validate_verl`; here are those it makes late, unclearly or not at all.
"""

import io
import os
from contextlib import redirect_stdout
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from verl.plugin.platform import PlatformRegistry
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config
from verl.utils.tracking import Tracking

from g2rl.data.check import check_rows
from g2rl.methods.base import Method
from g2rl.verify import check_data_sources
from recipe.g2rl.checks.environment import plugin_registered
from recipe.g2rl.inputs.columns import computed
from recipe.g2rl.settings.config import (
    OWN_ESTIMATOR,
    REMOTE,
    base_estimator,
    check_model_path,
    cpus_reserved,
    data_files,
    strings,
    trainer_devices,
    ulysses_size,
)
from recipe.g2rl.settings.method import build_inputs, build_method, pass_columns
from recipe.g2rl.settings.reward import reward_settings

# ${recipe:FILE} in a configuration is a file of this package
OmegaConf.register_new_resolver("recipe", lambda name: str(Path(__file__).parents[1] / name), replace=True)


def validate(config: DictConfig) -> None:
    """Check the whole configuration.

    Raises:
        ValueError: the first thing found wrong, naming the setting and what to do.
    """
    method = build_method(config.exploration)
    _check_method(config, method)
    _check_estimator(config)
    _check_batch(config)
    _check_sharding(config)
    check_model_path("actor_rollout_ref.model.path", str(config.actor_rollout_ref.model.path))
    _check_data(config)
    _check_loggers(config)
    _check_checkpoints(config)
    _check_trainer_mode(config)
    _check_machine(config)
    validate_verl(config)


def validate_verl(config: DictConfig) -> None:
    try:
        with redirect_stdout(io.StringIO()):  # it prints that all is well
            validate_config(
                config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
            )
    except (AssertionError, TypeError) as error:  # verl's checks are assertions; ours are sentences
        raise ValueError(f"verl refuses the configuration: {error}") from error


def _check_method(config: DictConfig, method: Method) -> None:
    if config.actor_rollout_ref.rollout.n < 2:
        raise ValueError(
            f"actor_rollout_ref.rollout.n={config.actor_rollout_ref.rollout.n}: a group of one response a prompt has "
            f"nothing to be compared with; use at least 2."
        )
    columns = pass_columns(config, method)
    computed(columns)
    if columns and (config.algorithm.get("rollout_correction") or {}).get("bypass_mode", False):
        raise ValueError(
            f"algorithm.rollout_correction.bypass_mode=true skips the log-prob pass that {type(method).__name__} takes "
            f"its {', '.join(sorted(columns))} from; set it to false."
        )
    for input in build_inputs(config, method).values():
        input.check(config)


def _check_estimator(config: DictConfig) -> None:
    name = base_estimator(config)
    if name not in ADV_ESTIMATOR_REGISTRY:
        raise ValueError(
            f"algorithm.adv_estimator={config.algorithm.adv_estimator} is not known; {OWN_ESTIMATOR} is GRPO's "
            f"standardisation, and verl has {', '.join(sorted(ADV_ESTIMATOR_REGISTRY))}."
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
    ranks, devices = ulysses_size(config), trainer_devices(config)
    attention = (model.get("override_config") or {}).get("attn_implementation", "flash_attention_2")
    setting = f"actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size={ranks}"
    if devices % ranks:
        raise ValueError(f"{setting} does not divide the {devices} devices of nnodes x n_gpus_per_node.")
    if ranks > 1 and not attention.startswith("flash_attention"):
        raise ValueError(
            f"{setting} with attn_implementation={attention}: verl joins the slices of a sequence inside "
            f"flash-attention only, and any other attention would see one slice without an error; use "
            f"flash_attention_2, or a size of 1."
        )
    if ranks > 1 and not model.use_remove_padding:
        raise ValueError(f"{setting} needs actor_rollout_ref.model.use_remove_padding=true.")


def _check_data(config: DictConfig) -> None:
    settings = reward_settings(config)
    sources: set[str] = set()
    rows = {"train_files": 0, "val_files": 0}
    for setting in rows:
        for path in data_files(config, setting):
            if not path.is_file():
                raise ValueError(f"data.{setting}: {path} does not exist; make it with `python -m g2rl.data`.")
            found = check_rows(path)
            sources |= found.data_sources
            rows[setting] += found.count
    check_data_sources(sources, settings.verifiers)
    all_local = not any(path.startswith(REMOTE) for path in strings(config.data.train_files))
    if all_local and not config.trainer.get("val_only", False):
        _check_steps(config, rows["train_files"])


def _check_steps(config: DictConfig, rows: int) -> None:
    prompts, trainer = config.data.train_batch_size, config.trainer
    steps, epochs = trainer.total_training_steps, trainer.total_epochs
    if config.data.get("train_max_samples", -1) > 0:
        rows = min(rows, config.data.train_max_samples)
    if rows < prompts:
        raise ValueError(f"data.train_files has {rows} rows, too few for one step of data.train_batch_size={prompts}.")
    if steps and steps > (most := rows // prompts * epochs):
        raise ValueError(
            f"trainer.total_training_steps={steps}, but {rows} rows in batches of data.train_batch_size={prompts} make "
            f"{most} steps in trainer.total_epochs={epochs}; raise the last."
        )


def _check_loggers(config: DictConfig) -> None:
    known = Tracking.supported_backend
    for logger in strings(config.trainer.logger):
        if logger not in known:
            raise ValueError(f"trainer.logger: verl has no logger {logger!r}, only {', '.join(known)}.")


def _check_checkpoints(config: DictConfig) -> None:
    if config.actor_rollout_ref.actor.checkpoint.get("async_save", False):
        raise ValueError(
            "actor_rollout_ref.actor.checkpoint.async_save=true writes on while the run goes on, so that nobody knows "
            "when a checkpoint is whole; set it to false."
        )


def _check_trainer_mode(config: DictConfig) -> None:
    mode, rollout = config.trainer.v1.trainer_mode, config.actor_rollout_ref.rollout
    if mode not in ("g2rl_sync", "g2rl_separate_async"):
        raise ValueError(
            f"trainer.v1.trainer_mode={mode} is a trainer without exploration; use g2rl_sync or g2rl_separate_async."
        )
    if mode == "g2rl_sync":
        return
    if rollout.nnodes < 1 or rollout.n_gpus_per_node < 1:
        raise ValueError(
            "trainer.v1.trainer_mode=g2rl_separate_async needs devices for the rollout alone: set "
            "actor_rollout_ref.rollout.nnodes and actor_rollout_ref.rollout.n_gpus_per_node."
        )
    if rollout.checkpoint_engine.backend == "naive":
        raise ValueError(
            "actor_rollout_ref.rollout.checkpoint_engine.backend=naive moves weights within a device; with "
            "trainer.v1.trainer_mode=g2rl_separate_async use nccl (on a CPU shared_memory, recipe/g2rl/cpu/weights.py)."
        )
    prompts, mini = config.data.train_batch_size, config.actor_rollout_ref.actor.ppo_mini_batch_size
    if prompts != (updates := config.trainer.v1.separate_async.parameter_sync_step) * mini:
        raise ValueError(
            f"data.train_batch_size={prompts} must be trainer.v1.separate_async.parameter_sync_step={updates} x "
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini} with trainer.v1.trainer_mode=g2rl_separate_async."
        )


def _check_machine(config: DictConfig) -> None:
    if not plugin_registered():
        raise ValueError("the plugin is not installed where verl looks for it; run `pip install --no-deps -e .` here.")
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
                f"for them without a word; set it to at least {needed} (they need not be real cores)."
            )
