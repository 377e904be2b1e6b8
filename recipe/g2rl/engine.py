"""The actor's FSDP engine: in the log-prob pass, one walk over the LM head gives log-probs, entropy and features.

Only that pass differs from verl's engine; the update pass is verl's own. It replaces the LM head's `forward`: in it the
weight is whole under FSDP1 and FSDP2 (outside it is a shard) and tied embeddings are no special case.

Shapes: T tokens of a packed micro-batch, S sequences, H hidden size.
"""

from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
import torch.distributed as dist
from tensordict import TensorDict
from transformers.modeling_outputs import CausalLMOutput
from verl.utils import tensordict_utils as tu
from verl.utils.ulysses import ulysses_pad_and_slice_inputs
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.engine.utils import pad_packed_inputs

from g2rl.features import EPS, check_plain_logits
from g2rl.ops import token_pass

# The registry key under which `recipe.g2rl.worker` finds this engine; the reference model keeps verl's.
ENGINE_VENDOR = "g2rl"
FEATURES_FLAG = "calculate_features"


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "cpu"], vendor=ENGINE_VENDOR
)
class ExplorationEngine(FSDPEngineWithLMHead):
    """Adds `features` [S, H] float32 to the log-prob pass's outputs when the batch asks for `calculate_features`."""

    _lm_head_inputs: dict[str, Any] | None = None
    _lm_head_outputs: Any = None

    def initialize(self) -> None:
        super().initialize()
        _refuse_unsupported_head(self.module)

    def forward_step(self, micro_batch: TensorDict, loss_function, forward_only: bool):
        if not forward_only or loss_function is not None:
            return super().forward_step(micro_batch, loss_function, forward_only)
        with self._chunked_lm_head(drop_logits_arguments=self.model_config.use_fused_kernels):
            return super().forward_step(micro_batch, loss_function, forward_only)

    def prepare_model_inputs(self, micro_batch: TensorDict):
        model_inputs, output_args = super().prepare_model_inputs(micro_batch)
        if self._lm_head_inputs is not None:
            self._lm_head_inputs.update(self._pack_lm_head_inputs(micro_batch, output_args))
        return model_inputs, output_args

    def prepare_model_outputs(self, output, output_args, micro_batch: TensorDict, logits_processor_func):
        if self._lm_head_inputs is None:
            return super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        tokens = self._lm_head_outputs
        offsets = micro_batch["input_ids"].offsets()

        def unpack(values_T: torch.Tensor) -> torch.Tensor:
            values_T = self._gather_and_unpad_packed(values_T, output_args.get("pad_size", 0))
            return torch.nested.nested_tensor_from_jagged(values_T, offsets)

        model_output = {"log_probs": unpack(tokens.log_probs)}
        if tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False):
            model_output["entropy"] = unpack(tokens.entropy)
        if self._lm_head_inputs["with_features"]:
            sums_SH, weights_S = tokens.feature_sums, tokens.weight_sums
            if self.use_ulysses_sp:  # each rank saw a slice of every sequence
                dist.all_reduce(sums_SH, group=self.ulysses_parallel_group)
                dist.all_reduce(weights_S, group=self.ulysses_parallel_group)
            model_output["features"] = sums_SH / (weights_S + EPS)[:, None]
        return model_output

    def _pack_lm_head_inputs(self, micro_batch: TensorDict, output_args: dict) -> dict[str, Any]:
        """What `token_pass` needs beside the hidden states, packed as verl packs the tokens on this rank."""
        input_ids = micro_batch["input_ids"]
        offsets = input_ids.offsets()
        sequence_ids_T = torch.repeat_interleave(offsets.diff())
        weights_T = response_weights(offsets, micro_batch["response_mask"])
        token_ids_T = output_args["input_ids_rmpad_rolled"]
        if "temperature_rmpad" in output_args:  # packed, and under Ulysses padded and cut to this rank's slice
            temperature_T = output_args["temperature_rmpad"]
            static_pad = self._get_packed_pad_size(sequence_ids_T.numel())
            sequence_ids_T = self._pad_and_slice(sequence_ids_T, static_pad, pad_value=-1)
            weights_T = self._pad_and_slice(weights_T, static_pad, pad_value=0)
            valid_BL = None
        else:
            temperature_T = output_args["temperature"][sequence_ids_T]
            lengths = offsets.diff()
            valid_BL = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
        return {
            "with_features": tu.get_non_tensor_data(data=micro_batch, key=FEATURES_FLAG, default=False),
            "valid": valid_BL,
            "token_ids": token_ids_T,
            "sequence_ids": sequence_ids_T,
            "num_sequences": offsets.numel() - 1,
            "token_weights": weights_T,
            # verl hands over the number when it is the same for all rows
            "temperature": 1.0 if output_args["temperature_is_one"] else temperature_T.clamp(min=1e-8),
        }

    def _pad_and_slice(self, values_T: torch.Tensor, static_pad: int, pad_value: int) -> torch.Tensor:
        packed, _ = pad_packed_inputs(values_T[None], None, static_pad, pad_value=pad_value)
        if self.use_ulysses_sp:
            packed, _, _ = ulysses_pad_and_slice_inputs(
                packed, None, sp_size=self.ulysses_sequence_parallel_size, pad_value=pad_value
            )
        return packed[0]

    @contextmanager
    def _chunked_lm_head(self, drop_logits_arguments: bool):
        """Within, the LM head computes `token_pass` and returns a placeholder instead of logits."""
        lm_head = _lm_head(self.module)
        self._lm_head_inputs = {}

        def forward(head: torch.nn.Linear, hidden: torch.Tensor) -> torch.Tensor:
            assert self._lm_head_inputs is not None
            inputs = dict(self._lm_head_inputs)
            valid_BL = inputs.pop("valid")
            hidden_TH = hidden[0] if valid_BL is None else hidden[valid_BL]
            with torch.autocast(device_type=hidden.device.type, enabled=False):
                self._lm_head_outputs = token_pass(
                    hidden_TH.to(head.weight.dtype), head.weight, bias=head.bias, **inputs
                )
            return hidden[..., :1]

        lm_head.forward = MethodType(forward, lm_head)
        causal_lm = _causal_lm(self.module)
        if drop_logits_arguments:
            # With `use_fused_kernels` verl replaced the class's forward by one that goes round the LM head's.
            causal_lm.forward = MethodType(_forward_through_head, causal_lm)
        try:
            yield
        finally:
            del lm_head.forward
            if drop_logits_arguments:
                del causal_lm.forward
            self._lm_head_inputs = self._lm_head_outputs = None


def response_weights(offsets: torch.Tensor, response_mask: Any) -> torch.Tensor:
    """a_t of every packed position: the response mask, moved to the position that predicts the token.

    Response token t of a sequence that ends before row `end` is predicted at row `end - response_length - 1 + t`.

    Args:
        offsets: [S + 1] int64, packed row at which each sequence starts; the last entry is T.
        response_mask: nested [S, response length], 1 where the token counts.

    Returns:
        [T] float32.
    """
    lengths_S = response_mask.offsets().diff()
    starts_S = offsets[1:] - lengths_S - 1
    within = torch.arange(int(lengths_S.sum()), device=offsets.device)
    within = within - torch.repeat_interleave(response_mask.offsets()[:-1], lengths_S)
    weights_T = torch.zeros(int(offsets[-1]), device=offsets.device)
    weights_T[torch.repeat_interleave(starts_S, lengths_S) + within] = response_mask.values().float()
    return weights_T


def _lm_head(module: Any) -> Any:
    """FSDP1 with a size policy may wrap the LM head by itself."""
    head = module.get_output_embeddings()
    return getattr(head, "_fsdp_wrapped_module", head)


def _causal_lm(module: Any) -> Any:
    """The Hugging Face model below FSDP1's and PEFT's wrappers."""
    module = getattr(module, "_fsdp_wrapped_module", module)
    return module.get_base_model() if hasattr(module, "get_base_model") else module


def _forward_through_head(causal_lm, input_ids, attention_mask=None, position_ids=None, **_):
    output = causal_lm.base_model(
        input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
    )
    return CausalLMOutput(logits=causal_lm.lm_head(output.last_hidden_state))


def _refuse_unsupported_head(module: Any) -> None:
    config = module.config.get_text_config()
    check_plain_logits(config)
    head = _lm_head(module)
    if not isinstance(head, torch.nn.Linear):
        raise ValueError(
            f"the LM head of {config.model_type} is {type(head).__name__}, not a linear layer; "
            f"with LoRA, leave lm_head out of actor_rollout_ref.model.target_modules."
        )
