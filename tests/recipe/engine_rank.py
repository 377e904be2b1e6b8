"""One rank of test_engine_equality.py: builds the actor's worker as a run does and sends its log-prob pass back.

Three things of the GPU stack are replaced, none of them ours: PyTorch's FSDP1 refuses CPU weights in
`sync_module_states`, which verl asks for (gloo broadcasts them all the same), and flash-attention's kernels, inside
verl's own exchange of heads between Ulysses ranks and inside its attention of Qwen2.5-VL. flash-linear-attention is
not there, and its stand-in takes the bounds of packed sequences without looking at them: it is not offered them.
"""

import os
import sys
import traceback
from collections.abc import Callable
from itertools import pairwise
from multiprocessing.connection import Connection

import torch
import torch.distributed.fsdp._init_utils as fsdp1
import transformers.models.qwen3_5.modeling_qwen3_5 as linear_attention
import verl.models.transformers.monkey_patch as verl_attention
import verl.models.transformers.qwen2_vl as verl_vision
from omegaconf import OmegaConf
from tensordict import TensorDict
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, Qwen3ForCausalLM
from transformers.integrations.flash_attention import flash_attention_forward
from transformers.masking_utils import flash_attention_mask
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLAttention
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.utils.distributed import initialize_global_process_group_ray
from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig, TrainingWorkerConfig

from recipe.g2rl.engine import COLUMNS_KEY
from recipe.g2rl.worker import ExplorationDetachWorker, ExplorationTrainingWorker

LINEAR_ATTENTION = linear_attention.torch_chunk_gated_delta_rule
FLOAT32 = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}


def attend_within_segments(query, key, value, attention_mask, query_length, *_, position_ids, softmax_scale, **__):
    """What flash-attention's kernel for packed input computes; a segment starts where the position is 0."""
    starts = [*(position_ids[0] == 0).nonzero().flatten().tolist(), query_length]
    lengths = [stop - start for start, stop in pairwise(starts)]
    parts = zip(*(x.transpose(1, 2).split(lengths, dim=2) for x in (query, key, value)), strict=True)
    out = [scaled_dot_product_attention(*part, is_causal=True, scale=softmax_scale, enable_gqa=True) for part in parts]
    return torch.cat(out, dim=2).transpose(1, 2)


def attend_within_packed(q, k, v, cu_seqlens_q, softmax_scale=None, **_):
    """The same where the bounds of the segments are given."""
    positions = torch.cat([torch.arange(n) for n in cu_seqlens_q.diff().tolist()])[None]
    q, k, v = (x[None] for x in (q, k, v))
    return attend_within_segments(q, k, v, None, q.shape[1], position_ids=positions, softmax_scale=softmax_scale)[0]


def attend_linearly(query, key, value, g, beta, initial_state, output_final_state, use_qk_l2norm_in_kernel):
    """transformers' own function without further arguments: verl then calls it for each packed sequence."""
    flags = {"output_final_state": output_final_state, "use_qk_l2norm_in_kernel": use_qk_l2norm_in_kernel}
    return LINEAR_ATTENTION(query, key, value, g, beta, initial_state=initial_state, **flags)


def nested(rows: list[list]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def log_prob_pass(batch: dict, model: dict, engine: dict, settings: dict, restored: bool = False) -> dict | None:
    """This rank's share of the batch through `TrainingWorker.infer_batch`; None where another rank answers for it.

    restored: between, the weights changed and a pass was made with them, as separate rollout has it in every step.
    """
    engine = {"strategy": "fsdp2", "mixed_precision": FLOAT32, "use_torch_compile": False} | engine
    worker = ExplorationTrainingWorker(
        TrainingWorkerConfig(
            model_type="language_model",
            model_config=HFModelConfig(load_tokenizer=False, **model),
            engine_config=FSDPEngineConfig(**engine),
            optimizer_config=FSDPOptimizerConfig(lr=1e-3, total_training_steps=1),
            checkpoint_config=CheckpointConfig(),
        )
    )
    worker.reset()
    share = torch.arange(len(batch["input_ids"])).chunk(worker.engine.get_data_parallel_size())
    share = share[worker.engine.get_data_parallel_rank()].tolist()
    rows = {name: [values[row] for row in share] for name, values in batch.items()}
    tensors = {
        "input_ids": nested(rows["input_ids"]),
        "position_ids": nested([list(range(len(row))) for row in rows["input_ids"]]),
        "response_mask": nested(rows["response_mask"]),
        "loss_mask": nested(rows["response_mask"]),
    }
    if "position_ids" in rows:  # four for each token, as verl has them for images
        tensors["position_ids"] = nested(rows["position_ids"])
        tensors["multi_modal_inputs"] = [
            {name: torch.tensor(value) for name, value in inputs.items()} for inputs in rows["multi_modal_inputs"]
        ]
    if "temperature" in rows:  # one for each row instead of the setting
        tensors["temperature"] = torch.tensor(rows["temperature"])
        del settings["temperature"]
    options = {"calculate_entropy": True, COLUMNS_KEY: ["features", "hidden_states"], "compute_loss": False} | settings

    def infer() -> TensorDict | None:
        return worker.infer_batch(tu.get_tensordict(dict(tensors), dict(options)))

    output = restore_and_infer(worker, infer) if restored else infer()
    if output is None:
        return None
    names = [name for name in ("log_probs", "entropy", "features", "hidden_states") if name in output]
    return {"rows": share} | {name: [row.cpu().numpy() for row in output[name].unbind()] for name in names}


def restore_and_infer(worker: ExplorationTrainingWorker, infer: Callable[[], TensorDict | None]) -> TensorDict | None:
    """What verl's trainer with separate rollout does at the second mini-batch of a step, with verl's own methods."""
    keeper = object.__new__(ExplorationDetachWorker)
    keeper.config = OmegaConf.create({"actor": {"strategy": worker.engine_config.strategy}})
    keeper.actor, keeper._strategy_handlers = worker, None
    keeper.save_model_to_cpu(0)
    with torch.no_grad():
        for parameter in worker.engine.module.parameters():
            parameter.mul_(1.5)
    later = infer()
    keeper.save_model_to_cpu(1)
    keeper.restore_model_from_cpu(0)
    output = infer()
    keeper.restore_model_from_cpu(1)
    again = infer()
    if output is not None:
        assert torch.equal(again["log_probs"].values(), later["log_probs"].values())
        assert not torch.equal(output["log_probs"].values(), later["log_probs"].values())
    return output


def main() -> None:
    connection = Connection(int(sys.argv[1]))
    torch.set_num_threads(1)
    if os.environ["VERL_PLATFORM"] == "cpu":
        initialize_global_process_group_ray(backend="cpu:gloo")
    else:
        torch.cuda.set_device(int(os.environ["RANK"]))
        initialize_global_process_group_ray(backend="cpu:gloo,cuda:nccl")
    fsdp1._check_module_states_for_sync_module_states = lambda module_states: None
    verl_attention._flash_attention_forward = attend_within_segments
    AttentionInterface.register("segments", flash_attention_forward)
    AttentionMaskInterface.register("segments", flash_attention_mask)
    linear_attention.torch_chunk_gated_delta_rule = attend_linearly
    verl_vision.flash_attn_varlen_func = attend_within_packed
    verl_vision.fa_peft_integration_check = lambda *states, target_dtype: states  # it would make them bfloat16
    for name in ("supports_window_size", "supports_deterministic", "use_top_left_mask"):
        setattr(verl_vision, f"_flash_{name}", False)
    forward, attention = Qwen3ForCausalLM.forward, Qwen2_5_VLAttention.forward
    while True:
        try:
            case = connection.recv()
        except EOFError:
            os._exit(0)
        try:
            answer = log_prob_pass(**case)
        except BaseException:
            answer = traceback.format_exc()
        # verl replaces them for the whole process, for fused kernels and for packed input
        Qwen3ForCausalLM.forward, Qwen2_5_VLAttention.forward = forward, attention
        connection.send(answer)


if __name__ == "__main__":
    main()
