"""The embedding actor on a real Ray: loaded once, before the first step; what it cannot embed ends the run."""

import subprocess
import sys

import pytest
from transformers import BertConfig, BertModel

from g2rl.tiny.tokenizer import build_tokenizer
from recipe.embedder import answer_text

ACTOR = """
import shutil, sys
import numpy as np, ray
from omegaconf import OmegaConf
from recipe.embedder import start_embedder
folder = sys.argv[1]
ray.init(address="local", num_cpus=1, include_dashboard=False)
config = OmegaConf.create({
    "trainer": {"device": "cpu"}, "embedding": {"model": folder, "gpu_memory_utilization": 0.1},
})
actor = start_embedder(config, None)
ray.get(actor.__ray_ready__.remote())
shutil.rmtree(folder)
first, again = (ray.get(actor.embed.remote(["one", "two"])) for _ in range(2))
print(type(first).__name__, first.dtype, first.shape, np.array_equal(first, again))
"""


@pytest.fixture
def encoder(tmp_path):
    """Folder of a small random encoder."""
    tokenizer = build_tokenizer(["one two three"] * 4, 300)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


def test_the_actor_loads_its_model_at_its_start_and_never_again(encoder):
    run = subprocess.run([sys.executable, "-c", ACTOR, str(encoder)], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "ndarray float32 (2, 16) True"
    assert not encoder.exists()


def test_the_text_after_the_thoughts_is_embedded():
    assert answer_text("<think>a</think> b </think> c") == " c"
    assert answer_text("no thoughts") == "no thoughts"
