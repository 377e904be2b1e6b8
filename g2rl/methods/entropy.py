"""GRPO with an entropy bonus in the actor's loss."""

from dataclasses import dataclass

from g2rl.methods.base import Method


@dataclass(frozen=True)
class Entropy(Method):
    """To rewards and advantages this is GRPO: the bonus is verl's own term, `actor_rollout_ref.actor.entropy_coeff`."""
