"""Where a response ends: the token that a chat template writes after an assistant's message."""

from copy import deepcopy

from g2rl.end_of_turn import end_of_turn
from g2rl.models.tokenizer import build_tokenizer


def test_the_end_of_turn_is_not_the_end_of_text():
    tokenizer = build_tokenizer(["What is 1+1? \\boxed{2}"], 300)
    turn = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end_of_turn(tokenizer) == [turn] == [tokenizer.eos_token_id]
    base = deepcopy(tokenizer)
    base.eos_token = "<|endoftext|>"  # as base models have it
    assert end_of_turn(base) == [turn] != [base.eos_token_id]


def test_templates_without_one():
    tokenizer = build_tokenizer(["What is 1+1?"], 300)
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    assert end_of_turn(tokenizer) == []
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"  # nothing follows
    assert end_of_turn(tokenizer) == []
    tokenizer.chat_template = None
    assert end_of_turn(tokenizer) == []
