"""`python -m g2rl.lab.see_smollm2`: does a score see which method a solution uses, for a pre-trained model?

The table of `g2rl.lab.see` for SmolLM2-135M on the school problems of `solutions.jsonl`, each solved by two methods in
two wordings. The solutions are given, not sampled: so small a model solves almost none.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from g2rl.embedding import Embedder, default_embedding_model
from g2rl.lab.policy import Responses, hidden_states, prefill
from g2rl.lab.see import Found, compared, table, write
from g2rl.lab.study import FOLDER
from g2rl.models.smollm2 import smollm2

SOLUTIONS = Path(__file__).with_name("solutions.jsonl")


@torch.no_grad()
def given(model: Any, tokenizer: Any, problem: str, texts: Sequence[str]) -> Responses:
    """The texts as the model's responses to the problem, each with the end of its turn."""
    messages = [{"role": "user", "content": problem}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    prefix = prefill(model, tokenizer([prompt])["input_ids"])
    tokens = [[*ids, tokenizer.eos_token_id] for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
    lengths = torch.tensor([len(ids) for ids in tokens])
    flat = torch.tensor([token for ids in tokens for token in ids])
    first = torch.zeros(len(texts), dtype=torch.int64)
    responses = Responses(first, lengths, flat, torch.zeros(0), torch.ones(len(texts), dtype=torch.bool))
    return Responses(first, lengths, flat, hidden_states(model, prefix, responses), responses.finished)


def found_in(model: Any, tokenizer: Any, embedder: Embedder, problems: Sequence[dict[str, Any]]) -> list[Found]:
    found = []
    for problem in tqdm(problems, desc="problems", disable=None):
        pairs = [(method, text) for method, texts in problem["solutions"].items() for text in texts]
        texts = [text for _, text in pairs]
        responses = given(model, tokenizer, problem["problem"], texts)
        ways = [method for method, _ in pairs]
        found.append(compared(model, responses, texts, ways, range(len(texts)), embedder))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m g2rl.lab.see_smollm2", description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where the model is, and made if it is not")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    folder = smollm2(options.cache)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    problems = [json.loads(line) for line in SOLUTIONS.read_text().splitlines()]
    embedder = Embedder(default_embedding_model(), torch.device("cpu"))
    write({"SmolLM2-135M": table(found_in(model, tokenizer, embedder, problems))}, options.out / "sees_smollm2")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
