"""Columns that the log-prob pass computes beside log-probs and entropy: one row a sequence, for methods that name them.

A column is a function from the LM head's pass to sums over tokens [S, D]; the engine divides them by the sums of the
tokens' weights. Another one stands in `COLUMNS`, or anywhere that Python finds: a name with a dot, as in
`my_methods.last_layer_norms`, is imported.

Shape suffixes: T tokens of a packed micro-batch, S sequences, H hidden size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name

import torch
from torch import Tensor

# What verl's own pass and rollout leave of every response.
OF_VERL = frozenset({"log_probs", "old_log_probs", "response_mask", "entropy", "prompts", "responses"})


@dataclass(frozen=True)
class HeadPass:
    """What the LM head saw in one pass over a micro-batch, and what one walk over its logits gave.

    hidden: [T, H] its inputs.
    sequence_ids: [T] int64, −1 for padding.
    weights: [T] float32, 1 where the token that is predicted there counts, else 0.
    log_probs, entropy: [T] float32.
    feature_sums: [S, H] float32, weighted sums of the tokens' gradient features; None where nobody asked.
    weight_sums: [S] float32.
    """

    hidden: Tensor
    sequence_ids: Tensor
    weights: Tensor
    log_probs: Tensor
    entropy: Tensor
    feature_sums: Tensor | None
    weight_sums: Tensor


Column = Callable[[HeadPass], Tensor]


def features(head: HeadPass) -> Tensor:
    """[S, H] sums of the gradient features (arXiv 2512.15687, eq. 5 to 7)."""
    assert head.feature_sums is not None
    return head.feature_sums


def hidden_states(head: HeadPass) -> Tensor:
    """[S, H] float32 sums of the states that predict the response's tokens."""
    sums_SH = torch.zeros(len(head.weight_sums), head.hidden.shape[1], device=head.hidden.device)
    weighted_TH = head.hidden.float() * head.weights[:, None]  # zero in padding
    return sums_SH.index_add(0, head.sequence_ids.clamp(min=0), weighted_TH)


COLUMNS: dict[str, Column] = {"features": features, "hidden_states": hidden_states}


def computed(names: frozenset[str]) -> dict[str, Column]:
    """Of the columns that a method names, those that the pass has to compute.

    Raises:
        ValueError: a name that nobody computes.
    """
    found = {}
    for name in sorted(names - OF_VERL):
        if name in COLUMNS:
            found[name] = COLUMNS[name]
        elif "." in name:
            try:
                found[name] = resolve_name(name)
            except (ImportError, AttributeError) as error:
                raise ValueError(f"exploration: the input {name} of the method cannot be imported: {error}.") from None
        else:
            raise ValueError(
                f"exploration: nobody computes the input {name!r} of the method; there are "
                f"{', '.join(sorted(COLUMNS.keys() | OF_VERL))}, the entries of `inputs` in the configuration, and "
                f"functions by their import path."
            )
    return found
