"""The responses of a step among the rows of verl's batch, and how what a method changes reaches these rows.

The responses are the last outputs of the step's sessions, as for verl's own GRPO: a session of an agent that calls
tools may leave several rows of the batch.

verl's trainer reads the scores, standardises them with the advantage estimator that the user named, and writes
advantages. What a method changes of the rewards is added to the scores before that, and what it changes of the
advantages after it: any of verl's outcome estimators may stand between.

Shape suffixes: N rows of the batch, R responses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def response_rows(keys: Sequence[str], tags: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[int]]:
    """The rows that are responses [R], and for each row of the batch the index of its session among them [N].

    Args:
        keys: TransferQueue's, `<prompt>_<session>_<output>`.
        tags: with `is_padding` for the rows that verl added to fill up a batch; these have the index −1.
    """
    last: dict[str, tuple[int, int]] = {}  # of each session: (output, row)
    sessions = []
    for row, (key, tag) in enumerate(zip(keys, tags, strict=True)):
        session, _, output = key.rpartition("_")
        sessions.append(None if tag.get("is_padding", False) else session)
        if sessions[-1] is not None and (session not in last or last[session][0] < int(output)):
            last[session] = int(output), row
    place = {session: i for i, session in enumerate(last)}
    return [row for _, row in last.values()], [-1 if session is None else place[session] for session in sessions]


def add_to_scores(scores: Any, session_of_row: Sequence[int], change: Tensor) -> Tensor:
    """Scores with each session's `change` [R] added to all its rows, at the last token, where verl puts the score.

    verl gives all outputs of a session the score of the last one. Its GRPO reads that one alone, its other estimators
    read all of them.

    Args:
        scores: nested [N, response length] float32.
        session_of_row: [N] as `response_rows` gives it.
    """
    values = scores.values().clone()
    values[scores.offsets()[1:] - 1] += _of_rows(session_of_row, change).to(values.dtype)
    return torch.nested.nested_tensor_from_jagged(values, scores.offsets())


def of_responses(advantages: Any, mask: Any, rows: Sequence[int]) -> Tensor:
    """The advantage [R] of the first token that counts of each of the given rows; 0 where none does.

    Args:
        advantages, mask: nested [N, response length].
    """
    padded_NL, mask_NL = advantages.to_padded_tensor(0.0)[rows], mask.to_padded_tensor(0)[rows]
    return (padded_NL * mask_NL)[torch.arange(len(rows)), mask_NL.argmax(dim=1)]


def add_to_advantages(advantages: Any, mask: Any, session_of_row: Sequence[int], change: Tensor) -> Tensor:
    """Advantages with each session's `change` [R] added to every token that counts of all its rows.

    Args:
        advantages, mask: nested [N, response length].
        session_of_row: [N] as `response_rows` gives it.
    """
    change_T = _of_rows(session_of_row, change).repeat_interleave(advantages.offsets().diff())
    values = advantages.values() + change_T.to(advantages.dtype) * mask.values()
    return torch.nested.nested_tensor_from_jagged(values, advantages.offsets())


def _of_rows(session_of_row: Sequence[int], change: Tensor) -> Tensor:
    """[N] the change of each row's session; 0 for padding, whose index −1 is the zero at the end."""
    return torch.cat([change, change.new_zeros(1)])[torch.tensor(session_of_row)]
