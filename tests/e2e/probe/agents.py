"""An agent loop of a user's own: sessions with several outputs, with tokens of a tool in them, or without output."""

from recipe.g2rl.agents.loops import SeededSingleTurn


def part(output, start, stop):
    """The response's tokens from `start` to `stop`, with all before them as the prompt."""
    return output.model_copy(
        update={
            "prompt_ids": output.prompt_ids + output.response_ids[:start],
            "response_ids": output.response_ids[start:stop],
            "response_mask": output.response_mask[start:stop],
            "response_logprobs": output.response_logprobs[start:stop],
            "extra_fields": dict(output.extra_fields),
        }
    )


class Sessions(SeededSingleTurn):
    """Session 0 ends in two outputs, 1 has tokens of a tool in it, 2 returns nothing for every second problem."""

    async def run(self, sampling_params, priority=0, **kwargs):
        output = await super().run(sampling_params, priority, **kwargs)
        session, length = int(kwargs["session_id"]), len(output.response_ids)
        if session == 0 and length > 1:
            return [part(output, 0, length // 2), part(output, length // 2, length)]
        if session == 1:
            output.response_mask = [int(t % 4 not in (1, 2)) for t in range(length)]
            pairs = zip(output.response_logprobs, output.response_mask, strict=True)
            output.response_logprobs = [log_prob * counts for log_prob, counts in pairs]
        if session == 2 and int(kwargs["index"]) % 2:
            return []
        return output
