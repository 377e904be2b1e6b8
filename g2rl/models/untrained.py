"""What a policy does on a task's validation problems before any reinforcement: pass@1, pass@n, lengths."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from g2rl.data import arithmetic_tool
from g2rl.data.generated import distinct_problems
from g2rl.models.pretrain import rendered
from g2rl.models.tokenizer import END
from g2rl.verify.boxes import last_boxed
from g2rl.verify.code import CodePool, CodeSettings

MAX_TURNS = 3


@dataclass(frozen=True)
class Check:
    """Numbers of one check, samples at temperature 1."""

    pass_at_1: float
    pass_at_n: float
    samples: int
    mean_tokens: float
    max_tokens: int


@torch.no_grad()
def check(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    task: str = "arithmetic",
    *,
    num_problems: int = 64,
    samples: int = 16,
    max_new_tokens: int = 64,
    seed: int = 0,
) -> Check:
    """pass@1 and pass@`samples` over validation problems of a task, judged as its rewards are.

    Of arithmetic, whose answers are integers, the text in the last box is compared. A call of the calculator is
    answered, and the policy goes on.
    """
    torch.manual_seed(seed)
    chosen = distinct_problems(task, "val", num_problems, seed)
    told = [rendered("user", problem.question, tokenizer) for problem in chosen for _ in range(samples)]
    texts, lengths = [""] * len(told), [0] * len(told)
    waiting = list(range(len(told)))
    for _ in range(MAX_TURNS):
        turns = _generate(model, tokenizer, [told[i] for i in waiting], max_new_tokens)
        for i, ids in zip(waiting, turns, strict=True):
            texts[i] = str(tokenizer.decode(ids, skip_special_tokens=True))
            lengths[i] += len(ids)
        waiting = [i for i in waiting if arithmetic_tool.CALL.search(texts[i])]
        if not waiting:
            break
        for i in waiting:
            told[i] += texts[i] + END + "\n" + rendered("tool", arithmetic_tool.answer(texts[i]), tokenizer)
    golds = [problem.gold for problem in chosen for _ in range(samples)]
    right_PS = torch.tensor(JUDGES[task](texts, golds)).view(num_problems, samples).float()
    return Check(
        pass_at_1=right_PS.mean().item(),
        pass_at_n=right_PS.amax(dim=1).mean().item(),
        samples=samples,
        mean_tokens=sum(lengths) / len(lengths),
        max_tokens=max(lengths),
    )


def _generate(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], max_new_tokens: int
) -> list[list[int]]:
    """The policy's next turn after each of the prompts, end token included."""
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True, return_token_type_ids=False)
    output = model.generate(  # type: ignore[misc]
        **inputs, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=max_new_tokens
    )
    rows = output[:, inputs["input_ids"].shape[1] :].tolist()
    return [[token for token in row if token != tokenizer.pad_token_id] for row in rows]


def _boxes(texts: Sequence[str], golds: Sequence[str]) -> list[bool]:
    return [last_boxed(text) == gold for text, gold in zip(texts, golds, strict=True)]


def _programs(texts: Sequence[str], golds: Sequence[str]) -> list[bool]:
    with CodePool(os.cpu_count() or 1, CodeSettings(timeout_s=1.0)) as pool:
        return [verdict.correct for verdict in pool.verify_many(zip(texts, golds, strict=True))]


JUDGES: dict[str, Callable[[Sequence[str], Sequence[str]], list[bool]]] = {
    "arithmetic": _boxes,
    "programs": _programs,
    "arithmetic_tool": _boxes,
    "room": _boxes,
}
