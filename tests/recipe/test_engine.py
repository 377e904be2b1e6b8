"""The packing of the log-prob pass, against a loop over sequences."""

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, Qwen3Config, Qwen3ForCausalLM
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

import recipe.g2rl.cpu.fsdp
from recipe.g2rl.engine import ENGINE_VENDOR, ExplorationEngine, _refuse_unsupported_head, response_weights


def nested(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


@pytest.mark.parametrize("seed", range(5))
def test_response_weights_stand_where_response_tokens_are_predicted(seed):
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randint(1, 6, (7,), generator=generator).tolist()
    masks = [
        torch.randint(0, 2, (int(n),), generator=generator) for n in torch.randint(1, 9, (7,), generator=generator)
    ]
    expected = []
    for prompt, mask in zip(prompts, masks, strict=True):
        row = [0.0] * (prompt + len(mask))
        for t, counts in enumerate(mask.tolist()):
            row[prompt + t - 1] = float(counts)  # token prompt + t is predicted one position before it
        expected += row
    offsets = torch.tensor([0, *(p + len(m) for p, m in zip(prompts, masks, strict=True))]).cumsum(0)
    assert response_weights(offsets, nested(masks)).tolist() == expected


def test_an_empty_response_has_no_weight():
    offsets = torch.tensor([0, 3, 5])
    weights = response_weights(offsets, nested([torch.empty(0), torch.ones(1)]))
    assert weights.tolist() == [0, 0, 0, 1, 0]


def test_the_actor_gets_our_engine_and_the_reference_model_verls(monkeypatch):
    for backend in ("fsdp", "fsdp2"):
        monkeypatch.delenv("VERL_ENGINE_VENDOR", raising=False)
        reference = EngineRegistry.get_engine_cls("language_model", backend)
        assert reference is recipe.g2rl.cpu.fsdp.CPUFSDPEngine
        assert reference.forward_step is FSDPEngineWithLMHead.forward_step
        monkeypatch.setenv("VERL_ENGINE_VENDOR", ENGINE_VENDOR)
        assert EngineRegistry.get_engine_cls("language_model", backend) is ExplorationEngine


def test_heads_that_do_more_than_a_product_are_refused():
    sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    sizes["num_attention_heads"] = 1
    _refuse_unsupported_head(Qwen3ForCausalLM(Qwen3Config(**sizes, num_key_value_heads=1, head_dim=8)))
    with pytest.raises(ValueError, match="final_logit_softcapping=30"):
        _refuse_unsupported_head(Gemma2ForCausalLM(Gemma2Config(**sizes, num_key_value_heads=1, head_dim=8)))
