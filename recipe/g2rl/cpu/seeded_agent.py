"""Sampling that does not depend on the order in which requests reach a server: each response has a seed of its own."""

import zlib
from collections.abc import Hashable
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop


def response_seed(run_seed: int, step: int, problem: Hashable, response: int) -> int:
    """In [0, 2^32): the same for the same response of a run, unrelated for any other."""
    return zlib.crc32(f"{run_seed} {step} {problem} {response}".encode())


class SeededSingleTurn(SingleTurnAgentLoop):
    """verl's single-turn loop with `seed` among the sampling parameters; listed in `agent_loops.yaml`.

    verl's own `rollout.full_determinism` gives every request the same seed, and so every response to a prompt the same
    text. On GPUs vLLM samples seeded requests one by one, which costs time, so that only `hardware=cpu` asks for it.
    """

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        seed = response_seed(
            self.rollout_config.seed, int(kwargs["global_steps"]), kwargs["index"], int(kwargs["session_id"])
        )
        return await super().run(sampling_params | {"seed": seed}, priority, **kwargs)
