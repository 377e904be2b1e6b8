"""GRPO: verified rewards, standardised in their groups. The baseline."""

from dataclasses import dataclass

from g2rl.methods.base import Method


@dataclass(frozen=True)
class GRPO(Method):
    """Nothing beside verl's own estimator."""
