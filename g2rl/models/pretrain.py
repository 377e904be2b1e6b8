"""Pre-training of the tiny policy: next-token loss on worked solutions of a task's training split.

Shapes: B sequences, L tokens.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import ModuleType
from typing import Any

import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from g2rl.data.generated import GENERATED
from g2rl.models.muon import Muon
from g2rl.models.tokenizer import build_tokenizer

IGNORED = -100  # the label that the loss of transformers skips


@dataclass(frozen=True)
class Recipe:
    """What decides what comes out, beside the task's corpus; a change gives another folder in the cache."""

    task: str = "arithmetic"
    seed: int = 0
    hidden_size: int = 192
    num_layers: int = 3
    num_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64  # vLLM's CPU attention has no kernel for less than 32
    intermediate_size: int = 512
    tie_word_embeddings: bool = True  # as in the small Qwen3 models
    vocab_size: int = 320
    batch_size: int = 32
    steps: int = 400
    muon_learning_rate: float = 0.02
    adam_learning_rate: float = 3e-3
    warmup_steps: int = 20
    threads: int = 2


RECIPES = {
    "arithmetic": Recipe(),
    "programs": Recipe(task="programs", steps=300),
    "arithmetic_tool": Recipe(task="arithmetic_tool", steps=250),
    "room": Recipe(task="room", steps=600),
}


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """A randomly initialised Qwen3 with the tokenizer's special tokens."""
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.num_layers,
        num_attention_heads=recipe.num_heads,
        num_key_value_heads=recipe.num_key_value_heads,
        head_dim=recipe.head_dim,
        tie_word_embeddings=recipe.tie_word_embeddings,
        max_position_embeddings=tokenizer.model_max_length,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype=torch.float32,
    )
    return Qwen3ForCausalLM(config)


def turns_of(task: ModuleType, problem: Any, rng: random.Random) -> list[str]:
    """A worked solution: the policy's turns, and between two of them a tool's."""
    solution = task.worked_solution(problem, rng)
    return [solution] if isinstance(solution, str) else solution


def rendered(role: str, text: str, tokenizer: PreTrainedTokenizerFast) -> str:
    """A message and the start of the policy's next turn."""
    message = {"role": role, "content": text}
    return str(tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=False))


def token_ids(question: str, turns: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """(tokens of a conversation, labels: the same, with `IGNORED` for what the policy does not write)."""
    parts = [rendered("user", question, tokenizer)]
    parts += [
        "\n" + rendered("tool", turn, tokenizer) if number % 2 else turn + tokenizer.eos_token
        for number, turn in enumerate(turns)
    ]
    tokens: list[int] = []
    labels: list[int] = []
    for number, ids in enumerate(tokenizer(parts)["input_ids"]):
        tokens += ids
        labels += ids if number % 2 else [IGNORED] * len(ids)
    return tokens, labels


def batches(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> Iterator[dict[str, torch.Tensor]]:
    """`recipe.steps` batches (input_ids, labels, both BL int64); padding and prompts carry no loss."""
    rng = random.Random(recipe.seed)
    task = GENERATED[recipe.task]
    stream = task.problems("train", recipe.seed)
    for _ in range(recipe.steps):
        pairs = [
            token_ids(problem.question, turns_of(task, problem, rng), tokenizer)
            for problem in islice(stream, recipe.batch_size)
        ]
        length = max(len(tokens) for tokens, _ in pairs)
        input_ids_BL = torch.full((recipe.batch_size, length), tokenizer.pad_token_id)
        labels_BL = torch.full((recipe.batch_size, length), IGNORED)
        for row, (tokens, labels) in enumerate(pairs):
            input_ids_BL[row, : len(tokens)] = torch.tensor(tokens)
            labels_BL[row, : len(labels)] = torch.tensor(labels)
        yield {"input_ids": input_ids_BL, "labels": labels_BL}


def build_optimizers(model: Qwen3ForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embedding and the norms."""
    layers = [parameter for parameter in model.model.layers.parameters() if parameter.ndim == 2]
    in_layers = {id(parameter) for parameter in layers}
    others = [parameter for parameter in model.parameters() if id(parameter) not in in_layers]
    return [
        Muon(layers, lr=recipe.muon_learning_rate),
        torch.optim.AdamW(others, lr=recipe.adam_learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def learning_rate_share(step: int, recipe: Recipe) -> float:
    """Linear warm-up, flat, then linear to zero over the last 60 % of the steps."""
    return min(1.0, (step + 1) / recipe.warmup_steps, (recipe.steps - step) / (0.6 * recipe.steps))


def pretrain(recipe: Recipe) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Trains model and tokenizer from nothing; the same recipe on the same machine gives the same weights."""
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    rng = random.Random(recipe.seed)
    task = GENERATED[recipe.task]
    corpus = ["system", "user", "assistant"]
    for problem in islice(task.problems("train", recipe.seed), 2000):
        corpus += [problem.question, *turns_of(task, problem, rng)]
    tokenizer = build_tokenizer(corpus, recipe.vocab_size)
    model = build_model(recipe, tokenizer)
    optimizers = build_optimizers(model, recipe)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, recipe))
        for optimizer in optimizers
    ]
    model.train()
    progress = tqdm(
        batches(recipe, tokenizer), total=recipe.steps, desc="pre-training the tiny policy", unit="step", disable=None
    )
    for batch in progress:
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        progress.set_postfix(loss=f"{loss.item():.3f}")
    return model.eval(), tokenizer
