"""`tools.export`: checkpoints of verl's own engine on two ranks, with and without LoRA, loaded by who uses them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipe.g2rl.tools.evaluate import huggingface_folder
from recipe.g2rl.tools.export import main

RANK = Path(__file__).parents[2] / "evaluation" / "save_checkpoint.py"
ALPHA, R = 16, 8
LORA = {"lora_rank": R, "lora_alpha": ALPHA, "target_modules": "all-linear"}


@pytest.fixture(scope="module", params=["full", "lora"])
def trained(request, policy, tmp_path_factory):
    """The run's checkpoints, and the weights that it ended with [name -> float32], adapters added by hand."""
    run = tmp_path_factory.mktemp(request.param)
    step = run / "checkpoints" / "global_step_7"
    step.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, RANK, policy, step / "actor", json.dumps(LORA if request.param == "lora" else {})]
    ranks = []
    for rank in ("0", "1"):
        environment = {"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank, "VERL_PLATFORM": "cpu"}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        ranks.append(subprocess.Popen(command, env=os.environ | environment))
    assert [rank.wait() for rank in ranks] == [0, 0]
    (step.parent / "latest_checkpointed_iteration.txt").write_text("7")
    (run / "config.yaml").write_text(f"actor_rollout_ref: {{model: {{path: {policy}}}}}")
    return request.param, step.parent, whole_weights(torch.load(step / "whole.pt"))


def whole_weights(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weights = {}
    for name, value in state.items():
        if "lora_" in name:
            continue
        base = name.removesuffix(".base_layer.weight")
        if f"{base}.lora_B.default.weight" in state:
            product = state[f"{base}.lora_B.default.weight"] @ state[f"{base}.lora_A.default.weight"]
            name, value = f"{base}.weight", value + ALPHA / R * product
        weights[name.removeprefix("base_model.model.")] = value
    return weights


def logits(model, ids=((5, 7, 11, 13),)) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor(ids)).logits


@pytest.mark.slow
def test_what_is_exported_is_what_was_trained(trained, policy, tmp_path, capsys):
    kind, checkpoints, weights = trained
    before = AutoModelForCausalLM.from_pretrained(policy).state_dict()
    assert not torch.equal(before["model.layers.0.mlp.up_proj.weight"], weights["model.layers.0.mlp.up_proj.weight"])
    main([str(checkpoints), "--out", str(tmp_path / "out")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "out")
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert exported.dtype == torch.bfloat16
    for name, value in exported.state_dict().items():
        # verl's merger rounds the adapter's two matrices before they are multiplied
        tolerance = {"rtol": 0.02, "atol": 4e-3} if kind == "lora" else {"rtol": 0, "atol": 0}
        torch.testing.assert_close(value, weights[name].bfloat16(), **tolerance)
    by_hand = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.bfloat16)
    by_hand.load_state_dict({name: value.bfloat16() for name, value in weights.items()})
    torch.testing.assert_close(logits(exported), logits(by_hand), rtol=0, atol=0.05)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    # what evaluation uses is the same
    evaluated = AutoModelForCausalLM.from_pretrained(huggingface_folder(str(checkpoints)))
    assert torch.equal(logits(evaluated), logits(exported))


@pytest.mark.slow
def test_the_adapter_on_its_model_is_what_was_trained(trained, policy, tmp_path, capsys):
    kind, checkpoints, weights = trained
    command = [str(checkpoints / "global_step_7"), "--out", str(tmp_path / "out"), "--lora", "adapter"]
    if kind == "full":
        with pytest.raises(SystemExit):
            main(command)
        assert "was not trained with LoRA" in capsys.readouterr().err
        return
    main(command)
    assert json.loads((tmp_path / "out/adapter_config.json").read_text())["base_model_name_or_path"] == str(policy)
    assert not list((tmp_path / "out").glob("model*"))
    base = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, str(tmp_path / "out")).merge_and_unload().state_dict()
    for name, value in adapted.items():
        torch.testing.assert_close(value, weights[name], rtol=0.02, atol=0.02)  # the adapter is bfloat16
    through_transformers = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    torch.testing.assert_close(logits(through_transformers), logits(base), rtol=0, atol=1e-4)


VLLM = """
import sys
from vllm import LLM, SamplingParams
engine = LLM(sys.argv[1], dtype="bfloat16", enforce_eager=True, max_model_len=64)
greedy = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
print("TOKENS", *engine.generate({"prompt_token_ids": [5, 7, 11, 13]}, greedy)[0].outputs[0].token_ids)
"""


@pytest.mark.slow
def test_vllm_says_what_transformers_says(trained, tmp_path):
    _, checkpoints, _ = trained
    main([str(checkpoints), "--out", str(tmp_path / "out")])
    run = subprocess.run([sys.executable, "-c", VLLM, tmp_path / "out"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    tokens = next(line for line in run.stdout.splitlines() if line.startswith("TOKENS")).split()[1:]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    expected = model.generate(torch.tensor([[5, 7, 11, 13]]), do_sample=False, min_new_tokens=8, max_new_tokens=8)
    assert [int(token) for token in tokens[:2]] == expected[0, 4:6].tolist()


def test_bad_input_is_one_sentence(tmp_path, capsys):
    (tmp_path / "there").mkdir()
    for checkpoint, out, words in [
        (tmp_path, tmp_path / "there", "exists; name a new folder"),
        (tmp_path, tmp_path / "out", "is no checkpoint of a run"),
    ]:
        with pytest.raises(SystemExit) as end:
            main([str(checkpoint), "--out", str(out)])
        assert end.value.code == 2
        assert words in capsys.readouterr().err
