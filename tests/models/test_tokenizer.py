import random
from itertools import islice

import pytest
from transformers import AutoTokenizer

from g2rl.data.arithmetic import problems, worked_solution
from g2rl.data.rows import PAPER_SYSTEM_PROMPT
from g2rl.models.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def corpus():
    rng = random.Random(0)
    return [
        text
        for problem in islice(problems("train", 0), 500)
        for text in (problem.question, worked_solution(problem, rng, 0.2))
    ]


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer([*corpus, "system", "user", "assistant"], 320).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_the_same_corpus_gives_the_same_tokenizer(corpus):
    assert build_tokenizer(corpus, 320).get_vocab() == build_tokenizer(corpus, 320).get_vocab()


def test_any_text_comes_back_exactly(tokenizer):
    for text in ("Let $x^2 \\le \\frac{1}{2}$", "naïve 中文 🙂\ttab\r\n", " two  spaces ", PAPER_SYSTEM_PROMPT, ""):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert not set(ids) & set(tokenizer.all_special_ids)


def test_digits_and_signs_stay_alone_and_words_are_short(tokenizer, corpus):
    for token in tokenizer.get_vocab():
        if any(character in "0123456789+-*=()}" for character in token) and not token.startswith("<|"):
            assert len(token) == 1, token
    assert len(tokenizer("So the answer is \\boxed{12}.")["input_ids"]) == 10


def test_special_tokens_and_chat_template(tokenizer):
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert len(tokenizer) <= 320
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "What is 1+1?"}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nWhat is 1+1?<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert ids == tokenizer(text)["input_ids"]
    assert ids.count(tokenizer.eos_token_id) == 2
    assert tokenizer.decode(ids) == text
