"""What a chat template says about the end of a response."""

from typing import Any

_CONTENT = "content"


def end_of_turn(tokenizer: Any) -> list[int]:
    """The special token that the chat template writes after an assistant's message, as a list of one; else empty.

    A base model that was trained on chat ends its turn with that token, but its tokenizer's end of text is another one:
    without it among the stop tokens, whatever follows the turn is decoded and judged too. (Qwen3-4B-Base: the turn ends
    with <|im_end|>, the text with <|endoftext|>.)
    """
    if tokenizer.chat_template is None:
        return []
    messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _CONTENT}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    following = tokenizer(text.rpartition(_CONTENT)[2], add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    return [following[0]] if following and following[0] in special else []
