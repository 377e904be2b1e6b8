"""Seeds of the responses' requests."""

import asyncio

from recipe.g2rl.agents.loops import SeededClient


def test_each_turn_of_a_response_has_its_own_seed():
    seeds = []

    class Client:
        async def generate(self, *, sampling_params, prompt_ids):
            assert sampling_params["top_p"] == 1.0 and prompt_ids == [1]
            seeds.append(sampling_params["seed"])

    for _ in range(2):  # the same response, sampled again
        client = SeededClient(Client(), 7)
        for _ in range(3):
            asyncio.run(client.generate(prompt_ids=[1], sampling_params={"top_p": 1.0, "seed": None}))
    assert seeds[:3] == seeds[3:] and len(set(seeds)) == 3
