"""`recipe.g2rl.tools.evaluate`: verl checkpoints as models, and several engines through Ray."""

import argparse
import json
import os
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from g2rl.evaluation.samples import read_samples
from g2rl.evaluation.sampling import SamplingSettings
from recipe.g2rl.tools.evaluate import huggingface_folder, make_sampler

SHARD = """
import sys
import torch
import torch.distributed as dist
from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh
from transformers import AutoModelForCausalLM
policy, actor, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
dist.init_process_group("gloo", init_method=f"file://{actor}/rendezvous", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("fsdp",))
state = AutoModelForCausalLM.from_pretrained(policy).state_dict()
shards = {name: distribute_tensor(weight, mesh, [Shard(0)]) for name, weight in state.items()}
torch.save(shards, f"{actor}/model_world_size_2_rank_{rank}.pt")
dist.destroy_process_group()
"""


@pytest.fixture
def checkpoint(policy, tmp_path):
    """A checkpoint folder as verl's FSDP2 trainer leaves it on two ranks."""
    folder = tmp_path / "checkpoints"
    actor = folder / "global_step_7" / "actor"
    actor.mkdir(parents=True)
    ranks = [subprocess.Popen([sys.executable, "-c", SHARD, policy, actor, str(rank)]) for rank in range(2)]
    assert [rank.wait() for rank in ranks] == [0, 0]
    (actor / "rendezvous").unlink(missing_ok=True)
    (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": 2}))
    (folder / "latest_checkpointed_iteration.txt").write_text("7")
    AutoModelForCausalLM.from_pretrained(policy).config.save_pretrained(actor / "huggingface")
    AutoTokenizer.from_pretrained(policy).save_pretrained(actor / "huggingface")
    return folder


@pytest.mark.slow
def test_a_sharded_checkpoint_is_merged_once(checkpoint, policy, capfd):
    folder = huggingface_folder(str(checkpoint))
    assert folder == str(checkpoint / "global_step_7" / "actor" / "merged")
    weights = AutoModelForCausalLM.from_pretrained(policy).state_dict()
    merged = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).state_dict()
    assert merged.keys() == weights.keys()
    assert all(torch.equal(merged[name], weights[name].bfloat16()) for name in weights)
    assert AutoTokenizer.from_pretrained(folder).chat_template

    (checkpoint / "global_step_7" / "actor" / "model_world_size_2_rank_1.pt").unlink()  # not needed any more
    assert huggingface_folder(str(checkpoint / "global_step_7")) == folder
    assert huggingface_folder(str(checkpoint / "global_step_7" / "actor")) == folder


@pytest.mark.slow
def test_a_damaged_checkpoint_is_one_clear_error_and_leaves_nothing(checkpoint):
    actor = checkpoint / "global_step_7" / "actor"
    shard = actor / "model_world_size_2_rank_1.pt"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ValueError, match="could not be merged"):
        huggingface_folder(str(actor))
    assert not list(actor.glob("*merged*"))


def test_other_models_are_left_as_they_are(policy, tmp_path):
    assert huggingface_folder(str(policy)) == str(policy)
    assert huggingface_folder("Qwen/Qwen3-4B-Base") == "Qwen/Qwen3-4B-Base"
    (tmp_path / "actor").mkdir()
    with pytest.raises(ValueError, match="no FSDP checkpoint"):
        huggingface_folder(str(tmp_path))


def test_more_engines_than_gpus_are_refused(monkeypatch):
    """Ray would wait for the missing ones for ever."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    args = argparse.Namespace(tensor_parallel=2, data_parallel=3)
    with pytest.raises(ValueError, match=r"--data-parallel 3 x --tensor-parallel 2 needs 6 GPUs, .* has 4"):
        make_sampler(args, "model", SamplingSettings(), 100)


def test_weights_that_the_run_saved_itself_are_used(tmp_path):
    (tmp_path / "actor" / "huggingface").mkdir(parents=True)
    (tmp_path / "actor" / "fsdp_config.json").write_text("{}")
    (tmp_path / "actor" / "huggingface" / "model.safetensors").write_bytes(b"")
    assert huggingface_folder(str(tmp_path)) == str(tmp_path / "actor" / "huggingface")


@pytest.mark.slow
def test_two_engines_draw_the_samples_that_one_draws(policy, write_benchmark, sums, tmp_path):
    path = write_benchmark(sums)
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    for engines in ("1", "2"):
        command = [
            sys.executable,
            "-m",
            "recipe.g2rl.tools.evaluate",
            str(policy),
            str(path),
            "--out",
            str(tmp_path / engines),
        ]
        command += ["--num-samples", "3", "--max-tokens", "60", "--data-parallel", engines]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    one, two = ({s.key: s for s in read_samples(tmp_path / n / "sums" / "samples.jsonl")} for n in ("1", "2"))
    assert len(one) == 24 and one == two
    result = json.loads((tmp_path / "2" / "sums" / "result.json").read_text())
    assert result["engine"] == {"tensor_parallel": 1, "data_parallel": 2}
