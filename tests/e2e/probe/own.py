"""A method of a user's own, with a column of the log-prob pass and an input that is computed elsewhere."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from g2rl.methods.base import Method


def entropies(head):
    """A column: sums over the tokens that count of their entropies [S, 1]."""
    sums = torch.zeros(len(head.weight_sums), 1)
    return sums.index_add(0, head.sequence_ids.clamp(min=0), (head.entropy * head.weights)[:, None])


@dataclass
class Lengths:
    """An input: the number of tokens of each response, in the trainer's own process."""

    scale: float = 1.0

    def check(self, config):
        pass

    def device_share(self, config):
        return 0.0

    def check_device(self, config, device_bytes, online):
        return []

    def start(self, config, placement_groups):
        pass

    def ask(self, fetch, tokenizer):
        self.lengths = fetch("responses")["responses"].offsets().diff() * self.scale

    def answer(self):
        return self.lengths


@dataclass(frozen=True)
class Own(Method):
    needs: ClassVar[frozenset[str]] = frozenset({"own.entropies", "lengths", "entropy", "response_mask"})

    def shape_rewards(self, samples):
        lengths = samples["response_mask"].offsets().diff()
        by_hand = [row.mean() for row in samples["entropy"].unbind()]
        return samples.rewards, {
            "exploration/own_length_error": (samples["lengths"] - 2 * lengths).abs().max().item(),
            "exploration/own_entropy_mean": samples["own.entropies"].mean().item(),
            "exploration/own_entropy_error": (samples["own.entropies"][:, 0] - torch.stack(by_hand)).abs().max().item(),
        }
