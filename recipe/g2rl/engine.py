"""The actor's FSDP engine: in the log-prob pass, one walk over the LM head gives log-probs, entropy and columns.

Only that pass differs from verl's engine; the update pass is verl's own. It replaces the LM head's `forward`: in it the
weight is whole under FSDP1 and FSDP2 (outside it is a shard) and tied embeddings are no special case.

Shapes: T tokens of a packed micro-batch, S sequences, H hidden size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
import torch.distributed as dist
from tensordict import TensorDict
from torch import Tensor
from transformers.modeling_outputs import CausalLMOutput
from verl.utils import tensordict_utils as tu
from verl.utils.ulysses import ulysses_pad_and_slice_inputs
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.engine.utils import pad_packed_inputs

from g2rl.features import check_plain_logits, mean_over_tokens
from g2rl.ops import token_pass
from recipe.g2rl.inputs.columns import HeadPass, computed

# The registry key under which `recipe.g2rl.worker` finds this engine; the reference model keeps verl's.
ENGINE_VENDOR = "g2rl"
COLUMNS_KEY = "g2rl_columns"  # under which a batch lists the columns to compute


@dataclass
class HeadTask:
    """What the LM head has to compute in the micro-batch at work, and what came out.

    valid: [B, L] bool where the batch is padded; None where it is packed.
    token_ids, sequence_ids, weights, temperature: as `g2rl.ops.token_pass` takes them, packed like the tokens.
    """

    columns: frozenset[str]
    valid: Tensor | None
    token_ids: Tensor
    sequence_ids: Tensor
    num_sequences: int
    weights: Tensor
    temperature: float | Tensor
    result: HeadPass | None = None

    def compute(self, head: torch.nn.Linear, hidden: Tensor) -> None:
        hidden_TH = (hidden[0] if self.valid is None else hidden[self.valid]).to(head.weight.dtype)
        tokens = token_pass(
            hidden_TH,
            head.weight,
            self.token_ids,
            self.sequence_ids,
            self.num_sequences,
            token_weights=self.weights,
            bias=head.bias,
            temperature=self.temperature,
            with_features="features" in self.columns,
        )
        weight_sums_S = torch.zeros(self.num_sequences, device=hidden.device)
        weight_sums_S.index_add_(0, self.sequence_ids.clamp(min=0), self.weights)
        self.result = HeadPass(
            hidden_TH,
            self.sequence_ids,
            self.weights,
            tokens.log_probs,
            tokens.entropy,
            tokens.feature_sums,
            weight_sums_S,
        )


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device=["cuda", "cpu"], vendor=ENGINE_VENDOR
)
class ExplorationEngine(FSDPEngineWithLMHead):
    """Adds to the log-prob pass's outputs the columns [S, D] float32 that the batch names."""

    _walks_over_head = False
    _head_task: HeadTask | None = None

    def initialize(self) -> None:
        super().initialize()
        _refuse_unsupported_head(self.module)

    def forward_step(self, micro_batch: TensorDict, loss_function, forward_only: bool):
        if not forward_only or loss_function is not None:
            return super().forward_step(micro_batch, loss_function, forward_only)
        with self._walk_over_head():
            return super().forward_step(micro_batch, loss_function, forward_only)

    def prepare_model_inputs(self, micro_batch: TensorDict):
        model_inputs, output_args = super().prepare_model_inputs(micro_batch)
        if self._walks_over_head:
            self._head_task = self._task(micro_batch, output_args)
        return model_inputs, output_args

    def prepare_model_outputs(self, output, output_args, micro_batch: TensorDict, logits_processor_func):
        if not self._walks_over_head:
            return super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        assert self._head_task is not None and self._head_task.result is not None
        head = self._head_task.result
        offsets = micro_batch["input_ids"].offsets()

        def unpack(values_T: Tensor) -> Tensor:
            values_T = self._gather_and_unpad_packed(values_T, output_args.get("pad_size", 0))
            return torch.nested.nested_tensor_from_jagged(values_T, offsets)

        def whole(sums: Tensor) -> Tensor:
            if self.use_ulysses_sp:  # each rank saw a slice of every sequence
                dist.all_reduce(sums, group=self.ulysses_parallel_group)
            return sums

        model_output = {"log_probs": unpack(head.log_probs)}
        if tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False):
            model_output["entropy"] = unpack(head.entropy)
        weight_sums_S = whole(head.weight_sums.clone())
        for name, column in computed(self._head_task.columns).items():
            model_output[name] = mean_over_tokens(whole(column(head).clone()), weight_sums_S)
        return model_output

    def _task(self, micro_batch: TensorDict, output_args: dict) -> HeadTask:
        """Everything beside the hidden states, packed as verl packs the tokens on this rank."""
        input_ids = micro_batch["input_ids"]
        offsets = input_ids.offsets()
        sequence_ids_T = torch.repeat_interleave(offsets.diff())
        weights_T = response_weights(offsets, micro_batch["response_mask"])
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
        return HeadTask(
            columns=frozenset(tu.get_non_tensor_data(data=micro_batch, key=COLUMNS_KEY, default=())),
            valid=valid_BL,
            token_ids=output_args["input_ids_rmpad_rolled"],
            sequence_ids=sequence_ids_T,
            num_sequences=offsets.numel() - 1,
            weights=weights_T,
            # verl sets the flag where the temperature of all rows is 1
            temperature=1.0 if output_args["temperature_is_one"] else temperature_T.clamp(min=1e-8),
        )

    def _pad_and_slice(self, values_T: Tensor, static_pad: int, pad_value: int) -> Tensor:
        packed, _ = pad_packed_inputs(values_T[None], None, static_pad, pad_value=pad_value)
        if self.use_ulysses_sp:
            packed, _, _ = ulysses_pad_and_slice_inputs(
                packed, None, sp_size=self.ulysses_sequence_parallel_size, pad_value=pad_value
            )
        return packed[0]

    @contextmanager
    def _walk_over_head(self) -> Iterator[None]:
        """Within, the LM head carries out the micro-batch's `HeadTask` and returns a placeholder instead of logits."""

        def forward(head: torch.nn.Linear, hidden: Tensor) -> Tensor:
            assert self._head_task is not None
            self._head_task.compute(head, hidden)
            return hidden[..., :1]

        lm_head, causal_lm = _lm_head(self.module), _causal_lm(self.module)
        lm_head.forward = MethodType(forward, lm_head)
        if self.model_config.use_fused_kernels:
            # verl replaced the class's forward by one that goes round the LM head's.
            causal_lm.forward = MethodType(_forward_through_head, causal_lm)
        self._walks_over_head = True
        try:
            yield
        finally:
            del lm_head.forward
            if self.model_config.use_fused_kernels:
                del causal_lm.forward
            self._walks_over_head, self._head_task = False, None


def response_weights(offsets: Tensor, response_mask: Any) -> Tensor:
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


def _forward_through_head(causal_lm, temperature=None, shift_labels=None, return_dict=None, **model_inputs):
    """The arguments that verl's fused forward takes for the logits go; everything else reaches the model."""
    output = causal_lm.base_model(**model_inputs)
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
