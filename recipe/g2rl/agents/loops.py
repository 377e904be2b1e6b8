"""verl's agent loops with the template's end of turn as a stop token; run in verl's agent-loop workers.

Listed for verl in `loops.yaml` and, with a seed for each response, in `seeded_loops.yaml`.
"""

import zlib
from collections.abc import Hashable
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.experimental.agent_loop.tool_agent_loop import ToolAgentLoop
from verl.workers.rollout.llm_server import FullyAsyncLLMServerClient, LLMServerClient
from verl.workers.rollout.replica import TokenOutput

from g2rl.end_of_turn import end_of_turn


class EndOfTurn(AgentLoopBase):
    """A turn ends where the chat template ends an assistant's turn, whatever the tokenizer's end of text is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stop_token_ids = end_of_turn(self.tokenizer)

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        # verl takes the tokens and their log-probabilities; the text would be made token by token for nobody.
        ours = {"stop_token_ids": self.stop_token_ids, "detokenize": False}
        return await super().run(sampling_params | ours, priority, **kwargs)  # type: ignore[safe-super, call-arg]


class Seeded(EndOfTurn):
    """Sampling that does not depend on the order in which requests reach a server: each response has its own seed.

    verl's own `rollout.full_determinism` gives every request the same seed, and so every response to a prompt the same
    text. On GPUs vLLM 0.24 draws the seeded requests of many models (Qwen2.5, not Qwen3) one by one, which takes time,
    so that only `hardware=cpu` asks for it.
    """

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        # Where responses are stopped and go on in a later step, their parts would have the same seed.
        if not isinstance(self.server_manager, FullyAsyncLLMServerClient):
            seed = response_seed(
                self.rollout_config.seed, int(kwargs["global_steps"]), kwargs["index"], int(kwargs["session_id"])
            )
            # A loop runs one response.
            self.server_manager = SeededClient(self.server_manager, seed)  # type: ignore[assignment]
        return await super().run(sampling_params, priority, **kwargs)


class SeededClient:
    """Gives each turn of a response its own seed: vLLM starts a request's random numbers at its seed, so that with one
    seed the second turn would be drawn with the numbers of the first."""

    def __init__(self, client: LLMServerClient, seed: int) -> None:
        self.client, self.seed, self.turn = client, seed, 0

    async def generate(self, *, sampling_params: dict[str, Any], **kwargs: Any) -> TokenOutput:
        seed = zlib.crc32(f"{self.seed} {self.turn}".encode()) if self.turn else self.seed
        self.turn += 1
        return await self.client.generate(sampling_params=sampling_params | {"seed": seed}, **kwargs)


class SingleTurn(EndOfTurn, SingleTurnAgentLoop):
    pass


class SeededSingleTurn(Seeded, SingleTurnAgentLoop):
    pass


class ToolAgent(EndOfTurn, ToolAgentLoop):
    pass


class SeededToolAgent(Seeded, ToolAgentLoop):
    pass


def response_seed(run_seed: int, step: int, problem: Hashable, response: int) -> int:
    """In [0, 2^32): the same for the same response of a run, unrelated for any other."""
    return zlib.crc32(f"{run_seed} {step} {problem} {response}".encode())
