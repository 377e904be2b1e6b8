"""A method that is another one in each step, so that one run shows them all."""

from collections.abc import Sequence
from dataclasses import dataclass

from g2rl.methods.base import Method, shaped_rewards


@dataclass(frozen=True)
class Turns(Method):
    methods: Sequence[Method] = ()  # of the first step, of the second, ...

    @property
    def inputs(self):
        return frozenset().union(*(method.inputs for method in self.methods))

    def shape_rewards(self, samples):
        return shaped_rewards(self.methods[samples.step - 1], samples)

    def reweight_advantages(self, advantages, samples):
        return self.methods[samples.step - 1].reweight_advantages(advantages, samples)
