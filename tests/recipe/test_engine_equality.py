"""However the actor is sharded, packed, adapted or parallelised, the log-prob pass gives what autograd gives.

Ranks are processes of their own (conftest.py, engine_rank.py) that run the actor's worker on gloo. The oracle runs each
sequence alone, in float64, with another attention, and differentiates.
"""

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

VOCABULARY = 97
IMAGE, IMAGE_GRID = 96, (1, 4, 4)  # an image of 16 patches is four tokens
TEMPERATURE = 0.7
BFLOAT16 = 0.02  # two orders of the same sums, in hidden states of 8 significant bits


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders: models (LM head of its own, tied to the embedding, experts, vision, linear
    attention) and two adapters of the first."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    for name in ("untied", "tied"):
        config = Qwen3Config(
            vocab_size=VOCABULARY, **sizes, **heads, tie_word_embeddings=name == "tied", initializer_range=0.2
        )
        Qwen3ForCausalLM(config).save_pretrained(folder / name)
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "initializer_range": 0.2}
    Qwen3MoeForCausalLM(Qwen3MoeConfig(vocab_size=VOCABULARY, **sizes, **heads, **experts)).save_pretrained(
        folder / "experts"
    )
    text = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, **heads}
    text |= {"initializer_range": 0.2, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1]}}
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "patch_size": 2}
    vision |= {"out_hidden_size": 32, "window_size": 8, "fullatt_block_indexes": [0], "initializer_range": 0.2}
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=IMAGE, video_token_id=95, vision_start_token_id=94
    )
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder / "vision")
    linear = {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    linear |= {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
    text = {"vocab_size": VOCABULARY, **sizes, **heads, **linear, "initializer_range": 0.2}
    text["layer_types"] = ["linear_attention", "full_attention"]
    text["rope_parameters"] = {"rope_type": "default", "mrope_section": [1, 1, 0], "partial_rotary_factor": 0.25}
    vision |= {"num_position_embeddings": 16}
    config = Qwen3_5Config(
        text_config=text, vision_config=vision, image_token_id=IMAGE, video_token_id=95, vision_start_token_id=94
    )
    Qwen3_5ForConditionalGeneration(config).save_pretrained(folder / "linear")
    for name in ("zero", "random"):
        adapted = get_peft_model(
            Qwen3ForCausalLM.from_pretrained(folder / "untied"),
            LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear"),
        )
        for parameter_name, parameter in adapted.named_parameters():
            if name == "random" and "lora_B" in parameter_name:
                torch.nn.init.normal_(parameter, std=0.1)
        adapted.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def batch():
    """Eight sequences of any length; every fifth response token does not count, and one response not at all."""
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randint(1, 7, (8,), generator=generator).tolist()
    responses = torch.randint(1, 12, (8,), generator=generator).tolist()
    masks = [[int((t + row) % 5 > 0) for t in range(length)] for row, length in enumerate(responses)]
    masks[3] = [0] * responses[3]
    lengths = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
    ids = [torch.randint(VOCABULARY, (length,), generator=generator).tolist() for length in lengths]
    return {"input_ids": ids, "response_mask": masks}


def oracle(model, batch, temperatures=(TEMPERATURE,) * 8, body=torch.float64) -> dict[str, list[np.ndarray]]:
    """Position t holds token t + 1, as in verl; `T ∂ log p(y_t) / ∂ h_t` is the feature of token t.

    `body` is the type in which the hidden states are computed; what follows is float64.
    """
    model = model.to(body).eval()
    more = batch.get("multi_modal_inputs", [{}] * 8)
    more = [{name: torch.tensor(value) for name, value in values.items()} for values in more]
    for row, positions in enumerate(batch.get("position_ids", [])):
        more[row]["position_ids"] = torch.tensor(positions[1:])[:, None]  # of time, height and width
    head = model.lm_head.weight.detach().double()
    expected: dict[str, list[np.ndarray]] = {"log_probs": [], "entropy": [], "features": []}
    rows = zip(batch["input_ids"], batch["response_mask"], temperatures, more, strict=True)
    for ids, mask, temperature, inputs in rows:
        with torch.no_grad():
            hidden = model.base_model(torch.tensor([ids]), **inputs).last_hidden_state[0, :-1].double()
        hidden.requires_grad_()
        log_p = torch.log_softmax(hidden @ head.T / temperature, -1)
        log_probs = log_p.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        weights = torch.zeros(len(ids) - 1).double()
        weights[-len(mask) :] = torch.tensor(mask)
        (gradient,) = torch.autograd.grad(log_probs @ weights, hidden)
        expected["log_probs"].append(log_probs.detach().numpy())
        expected["entropy"].append(-(log_p.exp() * log_p).sum(-1).detach().numpy())
        expected["features"].append((temperature * gradient.sum(0) / weights.sum().clamp(min=1)).numpy())
    return expected


def plain(folder) -> Qwen3ForCausalLM:
    return Qwen3ForCausalLM.from_pretrained(folder, attn_implementation="eager")


def case(path, batch, *, attention="sdpa", model=(), settings=(), **engine) -> dict:
    return {
        "batch": batch,
        "model": {
            "path": str(path),
            "override_config": {"attn_implementation": attention},
            "enable_gradient_checkpointing": False,
            **dict(model),
        },
        "engine": engine,
        "settings": {
            "temperature": TEMPERATURE,
            "use_dynamic_bsz": False,
            "micro_batch_size_per_gpu": 2,
            **dict(settings),
        },
    }


def check(got, expected, tolerance=1e-4):
    for name in ("log_probs", "entropy"):
        for mine, theirs in zip(got[name], expected[name], strict=True):
            # The last position predicts what stands behind the sequence, whatever that is.
            np.testing.assert_allclose(mine[:-1], theirs, atol=tolerance, rtol=tolerance)
    norms = [np.linalg.norm(feature) for feature in expected["features"]]
    assert norms[3] == 0 and np.median(norms) > 0.1
    for mine, theirs, norm in zip(got["features"], expected["features"], norms, strict=True):
        assert mine.dtype == np.float32 and np.linalg.norm(mine - theirs) <= tolerance * norm


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("head", ["untied", "tied"])
@pytest.mark.parametrize("strategy", ["fsdp", "fsdp2"])
@pytest.mark.parametrize("world", [1, 2])
def test_sharded_or_not_tied_or_not_packed_or_not(ranks, models, batch, world, strategy, head, packed):
    model = {"use_remove_padding": packed}
    got = ranks(world).run(**case(models / head, batch, model=model, strategy=strategy))
    check(got, oracle(plain(models / head), batch))


@pytest.mark.parametrize("packed", [True, False])
def test_micro_batches_by_tokens(ranks, models, batch, packed):
    settings = {"use_dynamic_bsz": True, "max_token_len_per_gpu": 20}
    got = ranks(2).run(**case(models / "untied", batch, model={"use_remove_padding": packed}, settings=settings))
    check(got, oracle(plain(models / "untied"), batch))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("temperatures", [(1.0,) * 8, (0.5, 1.0, 0.7, 0.9, 1.3, 2.0, 0.3, 1.1)])
def test_temperatures(ranks, models, batch, temperatures, packed):
    """One for all rows, where 1 leaves out the division in verl, and one for each row."""
    run = case(models / "untied", batch, model={"use_remove_padding": packed}, settings={"temperature": 1.0})
    if len(set(temperatures)) > 1:
        run["batch"] = batch | {"temperature": list(temperatures)}
    check(ranks(2).run(**run), oracle(plain(models / "untied"), batch, temperatures))


@pytest.mark.parametrize("strategy", ["fsdp", "fsdp2"])
def test_a_mixture_of_experts(ranks, models, batch, strategy):
    got = ranks(2).run(**case(models / "experts", batch, strategy=strategy))
    settings = {"attn_implementation": "eager", "experts_implementation": "eager"}
    check(got, oracle(AutoModelForCausalLM.from_pretrained(models / "experts", **settings), batch))


@pytest.fixture(scope="module")
def images(batch):
    """The batch with an image in every other prompt, and the positions in time, height and width that follow."""
    generator = torch.Generator().manual_seed(2)
    rows = {"input_ids": [], "position_ids": [], "multi_modal_inputs": []}
    for row, ids in enumerate(batch["input_ids"]):
        ids = [token % 90 for token in ids]
        before, after = [list(range(len(ids)))] * 3, [[], [], []]
        if row % 2:
            ids = [ids[0], *[IMAGE] * 4, *ids[1:]]
            before, after = [[0]] * 3, [list(range(3, len(ids) - 2))] * 3
        image = [[1, 1, 1, 1], [1, 1, 2, 2], [1, 2, 1, 2]] if row % 2 else [[], [], []]
        three = [a + b + c for a, b, c in zip(before, image, after, strict=True)]
        rows["input_ids"].append(ids)
        rows["position_ids"].append([list(range(len(ids))), *three])
        pixels = torch.randn(16, 24, generator=generator).tolist()
        rows["multi_modal_inputs"].append({"pixel_values": pixels, "image_grid_thw": [IMAGE_GRID]} if row % 2 else {})
    return batch | rows


def kernels(packed: bool, fused: bool) -> dict:
    return {
        "use_remove_padding": packed,
        "use_fused_kernels": fused,
        "fused_kernel_options": {"impl_backend": "torch"},
    }


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("packed", [True, False])
def test_images_in_prompts(ranks, models, images, packed, fused):
    got = ranks(2).run(**case(models / "vision", images, model=kernels(packed, fused)))
    theirs = AutoModelForImageTextToText.from_pretrained(models / "vision", attn_implementation="eager")
    check(got, oracle(theirs, images))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("packed", [True, False])
def test_linear_attention(ranks, models, batch, packed, fused):
    """Qwen3.5: it needs the bounds of packed sequences (`cu_seqlens`), or one runs into the next."""
    got = ranks(2).run(**case(models / "linear", batch, model=kernels(packed, fused)))
    theirs = AutoModelForImageTextToText.from_pretrained(models / "linear", attn_implementation="eager")
    check(got, oracle(theirs, batch))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("strategy", ["fsdp", "fsdp2"])
def test_fused_kernels_of_the_update_pass(ranks, models, batch, strategy, packed):
    model = kernels(packed, fused=True)
    got = ranks(2).run(**case(models / "untied", batch, model=model, strategy=strategy))
    check(got, oracle(plain(models / "untied"), batch))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("adapter", ["zero", "random"])
@pytest.mark.parametrize("strategy", ["fsdp", "fsdp2"])
def test_an_adapter_is_the_merged_model(ranks, models, batch, strategy, adapter, fused):
    model = {"lora_rank": 4, "lora_alpha": 8, "lora_adapter_path": str(models / adapter)}
    if fused:
        model |= {"use_fused_kernels": True, "fused_kernel_options": {"impl_backend": "torch"}}
    got = ranks(2).run(**case(models / "untied", batch, model=model, strategy=strategy))
    merged = PeftModel.from_pretrained(plain(models / "untied"), models / adapter).merge_and_unload()
    check(got, oracle(merged, batch))
    if adapter == "random":  # the reference policy is the actor without its adapter
        settings = {"no_lora_adapter": True}
        got = ranks(2).run(**case(models / "untied", batch, model=model, strategy=strategy, settings=settings))
        check(got, oracle(plain(models / "untied"), batch))


def test_a_new_adapter_changes_nothing(ranks, models, batch):
    got = ranks(2).run(**case(models / "tied", batch, model={"lora_rank": 4}))
    check(got, oracle(plain(models / "tied"), batch))


@pytest.mark.parametrize("strategy", ["fsdp", "fsdp2"])
@pytest.mark.parametrize("world, size", [(1, 1), (2, 1), (2, 2)])
def test_slices_of_sequences_add_up(ranks, models, batch, world, size, strategy):
    """Ulysses, with verl's exchange of heads around an attention that a CPU has."""
    engine = {"ulysses_sequence_parallel_size": size, "strategy": strategy}
    got = ranks(world).run(**case(models / "untied", batch, attention="segments", **engine))
    check(got, oracle(plain(models / "untied"), batch))


@pytest.mark.parametrize("size", [1, 2])
def test_slices_of_padded_micro_batches(ranks, models, batch, size):
    engine = {"ulysses_sequence_parallel_size": size, "pad_to_length": True, "pad_to_length_bucket": 16}
    settings = {"use_dynamic_bsz": True, "max_token_len_per_gpu": 20}
    got = ranks(2).run(**case(models / "untied", batch, attention="segments", settings=settings, **engine))
    check(got, oracle(plain(models / "untied"), batch))


@pytest.mark.parametrize("strategy", ["fsdp", "fsdp2"])
def test_gradient_checkpointing(ranks, models, batch, strategy):
    model = {"enable_gradient_checkpointing": True}
    got = ranks(2).run(**case(models / "untied", batch, model=model, strategy=strategy))
    check(got, oracle(plain(models / "untied"), batch))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("strategy", ["fsdp", "fsdp2"])
def test_weights_that_were_brought_back(ranks, models, batch, strategy, whole):
    """With separate rollout; units that stay whole after a pass (`reshard_after_forward=false`) must not stay stale."""
    run = case(models / "tied", batch, strategy=strategy, reshard_after_forward=not whole)
    check(ranks(2).run(**run, restored=True), oracle(plain(models / "tied"), batch))


def test_fsdp1_wrapped_by_size(ranks, models, batch):
    """Here FSDP1 wraps the LM head itself."""
    got = ranks(2).run(**case(models / "untied", batch, strategy="fsdp", wrap_policy={"min_num_params": 1000}))
    check(got, oracle(plain(models / "untied"), batch))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fsdp", "fsdp2"])
def test_replicas_of_shards(ranks, models, batch, strategy):
    """Hybrid sharding: two replicas of two shards."""
    got = ranks(4).run(**case(models / "untied", batch, strategy=strategy, fsdp_size=2))
    check(got, oracle(plain(models / "untied"), batch))


@pytest.mark.parametrize("world", [1, 2])
def test_mixed_precision(ranks, models, batch, world):
    """bfloat16 weights and activations, as verl's defaults are on GPUs."""
    precision = {"param_dtype": "bf16", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
    got = ranks(world).run(**case(models / "untied", batch, mixed_precision=precision))
    check(got, oracle(plain(models / "untied"), batch, body=torch.bfloat16), tolerance=BFLOAT16)


@pytest.mark.parametrize("packed", [True, False])
def test_without_features_the_rest_is_the_same(ranks, models, batch, packed):
    run = case(models / "untied", batch, model={"use_remove_padding": packed}, settings={"g2rl_columns": []})
    got = ranks(1).run(**run)
    assert "features" not in got
    with_them = ranks(1).run(**case(models / "untied", batch, model={"use_remove_padding": packed}))
    for name in ("log_probs", "entropy"):
        assert all(np.array_equal(a, b) for a, b in zip(got[name], with_them[name], strict=True))
