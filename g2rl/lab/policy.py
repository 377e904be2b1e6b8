"""The policy of the laboratory: sampling with a cache of keys and values, and hidden states of given responses.

A prompt is computed once for all its responses, finished responses leave the batch, and responses are padded to others
of about their length only: with the short responses of small models most of the work would else be padding.

Shape suffixes: P prompts, N responses, L positions, T tokens of all responses (packed, row after row), H hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

ROWS = 32  # responses of one forward pass, of about the same length


@dataclass(frozen=True)
class Prefix:
    """Prompts after their forward pass, padded on the left.

    hidden: [P, L, H] the LM head's inputs.
    valid: [P, L] bool, false for padding.
    """

    hidden: Tensor
    valid: Tensor
    cache: DynamicCache

    def cache_of(self, prompts_N: Tensor) -> DynamicCache:
        """A cache of its own for each of the given prompts."""
        cache = DynamicCache()
        for number, layer in enumerate(self.cache.layers):
            cache.update(layer.keys[prompts_N], layer.values[prompts_N], number)  # type: ignore[union-attr, index]
        return cache


@dataclass(frozen=True)
class Responses:
    """N responses to prompts, with the hidden states that predicted their tokens.

    prompts: [N] int64, the row of the prompt.
    lengths: [N] int64, end token included.
    tokens: [T] int64.
    hidden: [T, H].
    finished: [N] bool, ended by an end token.
    """

    prompts: Tensor
    lengths: Tensor
    tokens: Tensor
    hidden: Tensor
    finished: Tensor

    @property
    def rows(self) -> Tensor:
        """[T] int64, the response of each token."""
        return torch.repeat_interleave(self.lengths)

    def split(self, values_T: Tensor) -> tuple[Tensor, ...]:
        return values_T.split(self.lengths.tolist())


def prefill(model: Any, prompts: Sequence[Sequence[int]]) -> Prefix:
    """The forward pass over prompts, given as token ids."""
    length = max(map(len, prompts))
    ids_PL = torch.tensor([[0] * (length - len(prompt)) + list(prompt) for prompt in prompts])
    valid_PL = torch.tensor([[False] * (length - len(prompt)) + [True] * len(prompt) for prompt in prompts])
    cache = DynamicCache()
    return Prefix(_forward(model, ids_PL, valid_PL, cache), valid_PL, cache)


@torch.no_grad()
def sample(
    model: Any,
    prefix: Prefix,
    prompts: Tensor,
    *,
    max_tokens: int,
    temperature: float,
    end_ids: Sequence[int],
    generator: torch.Generator,
) -> Responses:
    """One response to each of the given prompts [N], drawn from the whole vocabulary."""
    rows, valid_NL = torch.arange(len(prompts)), prefix.valid[prompts]
    hidden_NH, cache = prefix.hidden[prompts, -1], prefix.cache_of(prompts)
    ends = torch.tensor(end_ids)
    finished_N = torch.zeros(len(prompts), dtype=torch.bool)
    drawn: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(max_tokens):
        probabilities = (model.lm_head(hidden_NH).float() / temperature).softmax(-1)
        tokens_N = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        running_N = ~finished_N[rows]
        drawn.append((rows[running_N], tokens_N[running_N], hidden_NH[running_N]))
        finished_N[rows] |= torch.isin(tokens_N, ends)
        running = (~finished_N[rows]).nonzero()[:, 0]
        if not len(running):
            break
        if len(running) < 0.9 * len(rows):
            rows, tokens_N, valid_NL = rows[running], tokens_N[running], valid_NL[running]
            cache.batch_select_indices(running)
        valid_NL = torch.cat([valid_NL, torch.ones(len(rows), 1, dtype=torch.bool)], dim=1)
        hidden_NH = _forward(model, tokens_N[:, None], valid_NL, cache)[:, -1]
    of_row, tokens, hidden = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    order_T = of_row.argsort(stable=True)
    return Responses(prompts, of_row.bincount(), tokens[order_T], hidden[order_T], finished_N)


def hidden_states(model: Any, prefix: Prefix, responses: Responses) -> Tensor:
    """[T, H] the LM head's inputs that predict the responses' tokens, under the model as it is now, with gradient."""
    parts, places = [], []
    starts_N = responses.lengths.cumsum(0) - responses.lengths
    for rows in responses.lengths.argsort().split(ROWS):
        lengths_N, prompts_N = responses.lengths[rows], responses.prompts[rows]
        within_NL = torch.arange(int(lengths_N.max())).expand(len(rows), -1)
        counts_NL = within_NL < lengths_N[:, None]
        places_NL = starts_N[rows, None] + within_NL
        hidden_NLH = prefix.hidden[prompts_N, -1:]
        if counts_NL.shape[1] > 1:
            ids_NL = responses.tokens[torch.where(counts_NL, places_NL, 0)][:, :-1]
            valid_NL = torch.cat([prefix.valid[prompts_N], torch.ones_like(ids_NL, dtype=torch.bool)], dim=1)
            after_NLH = _forward(model, ids_NL, valid_NL, prefix.cache_of(prompts_N))
            hidden_NLH = torch.cat([hidden_NLH, after_NLH], dim=1)
        parts.append(hidden_NLH[counts_NL])
        places.append(places_NL[counts_NL])
    return torch.cat(parts)[torch.cat(places).argsort()]


def token_log_probs(model: Any, hidden_TH: Tensor, tokens_T: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities of tokens and entropies of their distributions, both [T], with gradient."""
    log_probs_TV = (model.lm_head(hidden_TH).float() / temperature).log_softmax(-1)
    return log_probs_TV.gather(1, tokens_T[:, None])[:, 0], -(log_probs_TV.exp() * log_probs_TV).sum(-1)


def select(responses: Responses, rows: Tensor) -> Responses:
    """The given responses alone."""
    lengths = responses.lengths.tolist()
    tokens, hidden = responses.tokens.split(lengths), responses.hidden.split(lengths)
    return Responses(
        responses.prompts[rows],
        responses.lengths[rows],
        torch.cat([tokens[row] for row in rows.tolist()]),
        torch.cat([hidden[row] for row in rows.tolist()]),
        responses.finished[rows],
    )


def prompt_log_probs(model: Any, prefix: Prefix, prompts: Sequence[Sequence[int]], temperature: float) -> list[Tensor]:
    """Of each prompt the log-probabilities of its tokens but the first."""

    def of_prompt(hidden_LH: Tensor, prompt: Sequence[int]) -> Tensor:
        return token_log_probs(model, hidden_LH[-len(prompt) : -1], torch.tensor(prompt[1:]), temperature)[0]

    return [of_prompt(hidden, prompt) for hidden, prompt in zip(prefix.hidden, prompts, strict=True)]


def _forward(model: Any, ids_NL: Tensor, valid_NK: Tensor, cache: DynamicCache) -> Tensor:
    """[N, L, H] of the last L of K positions; the keys and values of the others are in the cache, which grows."""
    length, keys = ids_NL.shape[1], valid_NK.shape[1]
    queries_L = torch.arange(keys - length, keys)
    keys_K = torch.arange(keys)
    # Padding sees itself, since a softmax over nothing is NaN.
    mask_NLK = (keys_K <= queries_L[:, None]) & valid_NK[:, None] | (keys_K == queries_L[:, None])
    positions_NK = (valid_NK.cumsum(1) - 1).clamp(min=0)
    return model.model(
        input_ids=ids_NL,
        attention_mask=mask_NLK[:, None],
        position_ids=positions_NK[:, -length:],
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
