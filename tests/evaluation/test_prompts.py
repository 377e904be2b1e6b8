"""Evaluation, the data's length filter and training show the model the same text of a problem."""

import json

import pytest
from omegaconf import OmegaConf
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

from g2rl.evaluation.benchmarks import Problem
from g2rl.evaluation.sampling import SamplingSettings, requests_for
from g2rl.models.tokenizer import CHAT_TEMPLATE, build_tokenizer
from recipe.g2rl.driver.run_dir import CONFIG_FILE
from recipe.g2rl.tools.evaluate import template_arguments

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 3 + 4?"}]


@pytest.mark.parametrize("kwargs", [{}, {"enable_thinking": False}, {"enable_thinking": True, "note": "it's"}])
def test_evaluation_shows_the_text_of_training(tmp_path, kwargs):
    tokenizer = build_tokenizer(["What is 3 + 4?"], vocab_size=300)
    tokenizer.chat_template = (
        CHAT_TEMPLATE
        + "{%- if enable_thinking is defined and not enable_thinking %}<think></think>{%- endif %}{{ note }}"
    )
    tokenizer.save_pretrained(tmp_path)
    problem = Problem("0", MESSAGES, "7", "arithmetic")
    settings = SamplingSettings(num_samples=1, chat_template_kwargs=json.dumps(kwargs))
    (request,) = requests_for([problem], str(tmp_path), settings)
    training = create_continuous_token_builder(tokenizer, chat_template_kwargs=kwargs)  # as verl's agent loops have it
    assert request.prompt_ids == training.build_initial_tokens(MESSAGES)
    assert ("<think></think>" in tokenizer.decode(request.prompt_ids)) == (kwargs.get("enable_thinking") is False)


def test_a_checkpoint_is_evaluated_as_its_run_was_trained(tmp_path):
    for name, kwargs in {"lr=3/a": {"enable_thinking": False}, "b": {}}.items():
        actor = tmp_path / name / "checkpoints/global_step_2/actor"
        actor.mkdir(parents=True)
        (actor / "fsdp_config.json").write_text("{}")
        config = OmegaConf.create({"data": {"apply_chat_template_kwargs": kwargs}})
        OmegaConf.save(config, tmp_path / name / CONFIG_FILE)
    a, b = (str(tmp_path / name / "checkpoints/global_step_2") for name in ("lr=3/a", "b"))
    option = "--chat-template-kwargs"
    assert template_arguments([f"first={a}", "math500"]) == [option, '{"enable_thinking": false}']
    assert template_arguments([a, "math500"]) == [option, '{"enable_thinking": false}']
    assert template_arguments([b, "math500"]) == [option, "{}"]
    assert template_arguments([a, option, "{}"]) == template_arguments(["Qwen/Qwen3-4B", "math500"]) == []
    with pytest.raises(ValueError, match=rf"different data\.apply_chat_template_kwargs.*give {option}"):
        template_arguments(["geometry", a, b])


@pytest.mark.parametrize("text", ["thinking", "[1]"])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(ValueError, match=r"chat_template_kwargs = .* is no JSON object"):
        SamplingSettings(chat_template_kwargs=text)
