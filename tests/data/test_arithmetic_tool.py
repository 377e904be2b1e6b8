"""The calculator, and conversations whose labels are what the policy writes."""

import random
from itertools import islice

import pytest

from g2rl.data import arithmetic_tool
from g2rl.data.arithmetic_tool import CALL, answer, call, problems, value, worked_solution
from g2rl.models.pretrain import IGNORED, token_ids
from g2rl.models.tokenizer import build_tokenizer

SAMPLE = list(islice(problems("train", seed=3), 500))


def test_the_calculator_says_what_python_says():
    rng = random.Random(0)
    for _ in range(500):
        numbers = [str(rng.randint(0, 999)) for _ in range(rng.randint(1, 5))]
        expression = numbers[0] + "".join(rng.choice(("+", "-", "*", " * ")) + number for number in numbers[1:])
        assert value(expression) == str(eval(expression))


@pytest.mark.parametrize("expression", ["", "2+", "2**9", "2/3", "(2+3)", "x", "9" * 10, "1.5", "2 3*"])
def test_anything_else_is_refused(expression):
    with pytest.raises(ValueError, match="is not made of integers"):
        value(expression)
    assert "is not made of integers" in answer(call(expression))


def test_half_of_the_corpus_goes_wrong_and_the_rest_is_right(monkeypatch):
    rng = random.Random(0)
    for problem in SAMPLE:
        *calls, final = worked_solution(problem, rng)
        assert all(answer(turn) == said for turn, said in zip(calls[::2], calls[1::2], strict=True))
        assert len(calls) in (0, 2, 4) and not CALL.search(final)
    monkeypatch.setattr(arithmetic_tool, "GUESS_SHARE", 0)
    monkeypatch.setattr(arithmetic_tool, "SLIP_SHARE", 0)
    assert all(f"{{{p.gold}}}" in worked_solution(p, rng)[-1] for p in SAMPLE)
    monkeypatch.setattr(arithmetic_tool, "SLIP_SHARE", 1)
    assert not any(f"{{{p.gold}}}" in worked_solution(p, rng)[-1] for p in SAMPLE)


def test_labels_are_the_turns_of_the_policy():
    tokenizer = build_tokenizer(["system user assistant", call("1*2")], 300)
    turns = [call("12*34"), "408", call("408+5"), "413", "The answer is \\boxed{413}."]
    tokens, labels = token_ids("What is 12*34+5?", turns, tokenizer)
    messages = [{"role": "user", "content": "What is 12*34+5?"}]
    roles = ("assistant", "tool", "assistant", "tool", "assistant")
    messages += [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=True)]
    assert tokenizer.decode(tokens) + "\n" == tokenizer.apply_chat_template(messages, tokenize=False)
    learnt = tokenizer.decode([label for label in labels if label != IGNORED])
    assert learnt == "".join(turn + tokenizer.eos_token for turn in turns[::2])
