"""What `recipe.g2rl.checks.memory` computes, against models that are built, sharded, run and saved."""

import pytest
import torch
import torch.distributed as dist
from peft import LoraConfig, get_peft_model
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config
from verl.workers.engine.fsdp.utils import create_device_mesh

from recipe.g2rl.checks.memory import GIB, cache_bytes_per_token, layer_activations, memory, model_shape, step

NODE = ("hardware=one_node", "task=math", "model=qwen3_4b")
ACTOR = "actor_rollout_ref.actor"


def small(family: type, layers: int = 2, tied: bool = True, **sizes):
    sizes = {"vocab_size": 320, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": layers} | sizes
    sizes |= {"num_attention_heads": 8, "num_key_value_heads": 2} | ({"head_dim": 64} if family is Qwen3Config else {})
    return family(tie_word_embeddings=tied, **sizes)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", [Qwen3Config, Qwen2Config, LlamaConfig])
def test_units_adapters_and_cache_are_those_of_a_built_model(family, tied, composed):
    config = small(family, tied=tied)
    shape = model_shape(config)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    layer = sum(p.numel() for p in model.model.layers[0].parameters())
    embedding = model.model.embed_tokens.weight.numel()
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert shape.largest_layer == max(layer, 0 if tied else embedding)
    assert shape.root == (embedding if tied else 0) + model.model.norm.weight.numel()
    cache = model(torch.zeros(1, 7, dtype=torch.long)).past_key_values
    cached = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert cache_bytes_per_token(composed(*NODE), shape) == cached // 7
    for target_modules in ("all-linear", ["q_proj", "v_proj"], r".*\.(up|down)_proj"):
        adapters = LoraConfig(r=8, target_modules=target_modules, task_type="CAUSAL_LM")
        lora = get_peft_model(AutoModelForCausalLM.from_config(config), adapters)
        adapted = model_shape(config, lora_rank=8, target_modules=target_modules)
        assert adapted.trainable == sum(p.numel() for p in lora.parameters() if p.requires_grad)
        assert adapted.parameters == sum(p.numel() for p in lora.parameters())


@pytest.fixture
def eight_ranks():
    dist.init_process_group("fake", rank=0, world_size=8, store=FakeStore())
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("fsdp_size", [-1, 4])
def test_state_is_what_fsdp2_keeps_on_one_of_eight_ranks(eight_ranks, fsdp_size, composed):
    """torch's own tracker, on the shapes of a step without storage and without the other ranks."""
    config = small(Qwen3Config, layers=3, hidden_size=512)
    mesh = create_device_mesh(8, fsdp_size)  # verl's
    with FakeTensorMode():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for unit in (*model.model.layers, model):
            fully_shard(unit, mesh=mesh, mp_policy=MixedPrecisionPolicy(torch.bfloat16, torch.float32))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, foreach=False)
        tracker = FSDPMemTracker(model, optimizer)
        tracker.track_inputs(())
        with tracker:
            model(input_ids=torch.zeros(1, 16, dtype=torch.long), use_cache=False).logits.sum().backward()
            optimizer.step()
            snapshot = tracker.get_tracker_snapshot()[torch.device("cpu")]
    kept = {str(kind).rpartition(".")[2]: size for kind, size in snapshot.items()}
    taken = memory(composed(*NODE, f"{ACTOR}.fsdp_config.fsdp_size={fsdp_size}"), model_shape(config), GIB)
    assert taken.weights == pytest.approx(kept["SHARDED_PARAM"], rel=1e-3)
    assert taken.gradients == pytest.approx(kept["SHARDED_GRAD"], rel=1e-3)
    assert taken.optimizer == pytest.approx(kept["OPT"], rel=1e-3)


@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize("family", [Qwen3Config, Qwen2Config, LlamaConfig])
def test_a_layer_saves_what_autograd_saves(family, checkpointing):
    """Bytes that the backward pass keeps, counted by a hook; a layer is the difference of two models."""
    tokens = 256

    def saved(layers: int) -> int:
        model = AutoModelForCausalLM.from_config(small(family, layers)).bfloat16()
        model.train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        storages = {}

        def count(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor), torch.autocast("cpu"):
            hidden = model.model(torch.zeros(1, tokens, dtype=torch.long), use_cache=False)  # noqa: F841
        return sum(storages.values())

    shape = model_shape(small(family))
    expected = shape.hidden * 2 if checkpointing else layer_activations(shape, 2)
    assert (saved(3) - saved(1)) / 2 / tokens == pytest.approx(expected, rel=0.02)


def test_a_step_counts_what_verl_will_put_into_a_micro_batch(composed):
    paper = step(composed(*NODE))
    assert (paper.sequences, paper.max_length, paper.tokens) == (256, 13_312, 3_407_872)
    assert paper.micro_batch_tokens == paper.log_prob_tokens == 26_624  # 2 sequences a device, as the paper's
    assert step(composed(*NODE, "trainer.nnodes=2")).micro_batch_tokens == 13_312
    for older_or_newer in (ACTOR, f"{ACTOR}.fsdp_config"):
        sliced = step(composed(*NODE, f"{older_or_newer}.ulysses_sequence_parallel_size=2"))
        assert (sliced.data_parallel, sliced.micro_batch_tokens) == (4, 26_624)
    rows = (f"{ACTOR}.use_dynamic_bsz=false", f"{ACTOR}.ppo_micro_batch_size_per_gpu=1")
    assert step(composed(*NODE, *rows)).micro_batch_tokens == 13_312


def test_memory_follows_the_settings_that_preflight_names(composed, qwen3_4b):
    shape = model_shape(qwen3_4b)

    def change(*overrides: str, shape=shape):
        return memory(composed(*NODE, *overrides), shape, 80 * GIB)

    base = change()
    assert change("actor_rollout_ref.model.use_fused_kernels=true").logits == 0
    assert change(f"{ACTOR}.entropy_coeff=0.001").logits == 4 * base.logits
    assert change(f"{ACTOR}.ppo_max_token_len_per_gpu=13312").update < base.update
    assert change("actor_rollout_ref.model.enable_gradient_checkpointing=false").update > 2 * base.update
    offloaded = change(f"{ACTOR}.fsdp_config.param_offload=true", f"{ACTOR}.fsdp_config.optimizer_offload=true")
    apart = ["trainer.v1.trainer_mode=separate_async", "actor_rollout_ref.rollout.nnodes=1"]
    assert change(*apart, "actor_rollout_ref.hybrid_engine=false").rollout == int(0.65 * 80 * GIB)
    assert base.rollout - offloaded.rollout == base.weights + base.optimizer
    assert offloaded.update == base.update
    assert offloaded.log_prob == base.log_prob - base.optimizer  # the weights are loaded for the pass
    for passed, kept in (("ref", "log_prob"), ("rollout", "reference")):
        shorter = change(f"actor_rollout_ref.{passed}.log_prob_max_token_len_per_gpu=13312")
        assert shorter != base and getattr(shorter, kept) == getattr(base, kept)
    assert change(f"{ACTOR}.use_kl_loss=false").reference == 0
    assert change("trainer.nnodes=2").optimizer == base.optimizer // 2
    assert change(shape=model_shape(qwen3_4b, lora_rank=32)).optimizer < base.optimizer // 50
