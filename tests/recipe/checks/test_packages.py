"""Packages that only some settings need are looked up before Ray starts; this environment has none for GPUs."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3_5Config,
    Qwen3Config,
    Qwen3NextConfig,
)

from recipe.g2rl.checks import environment, packages, preflight
from recipe.g2rl.checks.packages import check_packages

ROOT = Path(__file__).parents[3]
CPU_ENGINE = "actor_rollout_ref.rollout.checkpoint_engine.custom_backend_module=recipe.g2rl.cpu.weights"


def composed(*overrides: str):
    with initialize_config_dir(str(ROOT / "configs"), version_base=None):
        return compose("trainer", ["trainer.experiment_name=test", "trainer.save_freq=-1", *overrides])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["nccl"], ["backend=nccl is not there", "cupy", "pip install cupy-cuda13x==14.0.1"]),
        (["quic", CPU_ENGINE], ["backend=quic is not there", "shared_memory"]),
        (["shared_memory", CPU_ENGINE], []),
    ],
)
def test_what_sends_weights_to_separate_servers_is_in_verls_registry(overrides, words):
    overrides[0] = f"actor_rollout_ref.rollout.checkpoint_engine.backend={overrides[0]}"
    check_packages(composed(*overrides))  # weights go nowhere in the other trainer modes
    config = composed("trainer.v1.trainer_mode=separate_async", *overrides)
    if not words:
        check_packages(config)
        return
    with pytest.raises(ValueError) as error:
        check_packages(config)
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words)


def test_flash_attention_is_looked_up_where_the_actors_use_it():
    with pytest.raises(ValueError, match=r"flash-attn is not installed.*flash-attn==2\.8\.3"):
        check_packages(composed("hardware=one_node"))
    check_packages(composed("hardware=one_node", f"+{packages.ATTENTION}=sdpa"))
    check_packages(composed("hardware=cpu"))


def test_the_extras_that_verls_extras_name_are_followed():
    unmet = environment.unpinned_versions()
    for pin in ("flash-attn==2.8.3", "cupy-cuda13x==14.0.1", "trl==0.27.0"):
        assert any(words.startswith(f"{pin} is wanted and nothing") for words in unmet), pin


def test_packed_images_need_flash_attention(tmp_path):
    """Packing replaces the attention of Qwen2.5-VL by flash-attention's, whatever the setting says."""
    sizes = {"hidden_size": 256, "intermediate_size": 512}
    text = sizes | {"vocab_size": 30_000, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=sizes | {"depth": 2, "num_heads": 4})
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        parameters = Qwen2_5_VLForConditionalGeneration(config).num_parameters()
    packed = [f"actor_rollout_ref.model.path={tmp_path}"]
    with pytest.raises(ValueError, match=r"qwen2_5_vl with flash-attention only.*use_remove_padding=false"):
        preflight.preflight(composed(*packed))
    table, _ = preflight.preflight(composed(*packed, "actor_rollout_ref.model.use_remove_padding=false"))
    assert f"{parameters / 1e6:,.1f}M parameters" in table


@pytest.mark.parametrize(("family", "words"), [(Qwen3_5Config, "run into each other"), (Qwen3NextConfig, "not tell")])
@pytest.mark.parametrize("hardware", ["cpu", "one_node"])
def test_packed_linear_attention_needs_its_kernel(hardware, family, words):
    """Without it log-probs of all but the first sequence were off by up to 1.2 in the actor's engine."""
    packed = composed(f"hardware={hardware}")
    with pytest.raises(ValueError, match=rf"{words}.*use_remove_padding=false"):
        packages.check_packed_attention(packed, family())
    packages.check_packed_attention(composed("actor_rollout_ref.model.use_remove_padding=false"), family())
    packages.check_packed_attention(packed, Qwen3Config())


def test_packed_linear_attention_with_its_kernel(monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: name)
    packages.check_packed_attention(composed("hardware=one_node"), Qwen3_5Config())
