"""What a policy does on a task's validation problems before any reinforcement: pass@1, pass@n, lengths."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from g2rl.models.pretrain import TASKS, conversation
from g2rl.verify.code import CodePool, CodeSettings


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

    Of arithmetic, whose answers are integers, the text in the last box is compared.
    """
    torch.manual_seed(seed)
    chosen = TASKS[task].distinct_problems("val", num_problems, seed)
    prompts = [conversation(problem.question, "", tokenizer)[0] for problem in chosen]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    output = model.generate(  # type: ignore[misc]
        **inputs,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        num_return_sequences=samples,
        max_new_tokens=max_new_tokens,
    )
    responses_BL = output[:, inputs["input_ids"].shape[1] :]
    lengths = (responses_BL != tokenizer.pad_token_id).sum(dim=1)
    texts = tokenizer.batch_decode(responses_BL, skip_special_tokens=True)
    golds = [problem.gold for problem in chosen for _ in range(samples)]
    right_PS = torch.tensor(JUDGES[task](texts, golds)).view(num_problems, samples).float()
    return Check(
        pass_at_1=right_PS.mean().item(),
        pass_at_n=right_PS.amax(dim=1).mean().item(),
        samples=samples,
        mean_tokens=lengths.float().mean().item(),
        max_tokens=int(lengths.max()),
    )


def boxed(text: str) -> str | None:
    """What stands in the last box, for answers without braces."""
    _, opening, rest = text.rpartition("\\boxed{")
    answer, closing, _ = rest.partition("}")
    return answer if opening and closing else None


def _boxes(texts: Sequence[str], golds: Sequence[str]) -> list[bool]:
    return [boxed(text) == gold for text, gold in zip(texts, golds, strict=True)]


def _programs(texts: Sequence[str], golds: Sequence[str]) -> list[bool]:
    with CodePool(os.cpu_count() or 1, CodeSettings(timeout_s=1.0)) as pool:
        futures = [pool.submit(text, gold) for text, gold in zip(texts, golds, strict=True)]
        return [future.result().correct for future in futures]


JUDGES: dict[str, Callable[[Sequence[str], Sequence[str]], list[bool]]] = {
    "arithmetic": _boxes,
    "programs": _programs,
    "room": _boxes,
}
