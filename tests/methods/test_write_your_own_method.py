"""The text of docs/write_your_own_method.md is run as it stands there."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate

from g2rl.methods.base import Samples

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/write_your_own_method.md").read_text()
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL))


@pytest.fixture
def my_methods(tmp_path, monkeypatch):
    (tmp_path / "my_methods.py").write_text(BLOCKS["python"])
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("my_methods")
    yield module
    monkeypatch.delitem(importlib.sys.modules, "my_methods")


def test_is_under_40_lines():
    assert TEXT.count("```python") == 1
    assert len(BLOCKS["python"].splitlines()) < 40


def test_does_what_it_says(my_methods):
    generator = torch.Generator().manual_seed(0)
    group_ids = torch.tensor([2, 0, 2, 2, 0, 2, 9, 0, 2, 0])  # one of five, one of four, one of one
    correct = torch.tensor([1, 1, 1, 0, 0, 1, 1, 1, 0, 1], dtype=torch.bool)
    hidden = torch.randn(10, 3, generator=generator)
    samples = Samples(correct, group_ids, correct, {"hidden_states": hidden})
    expected = []
    for i in range(10):
        others = [j for j in range(10) if group_ids[j] == group_ids[i] and j != i]
        cosines = [torch.cosine_similarity(hidden[i], hidden[j], dim=0).item() for j in others]
        bonus = 0.4 * (1 - sum(cosines) / len(cosines)) / 2 if cosines else 0.0
        expected.append(1 + bonus if correct[i] else -1.0)
    method = my_methods.HiddenNovelty(beta=0.4)
    shaped, metrics = method.shape_rewards(samples)
    torch.testing.assert_close(shaped, torch.tensor(expected))
    assert metrics == {"exploration/bonus_mean": pytest.approx((shaped - samples.rewards).mean().item())}
    assert method.reweight_advantages(shaped, samples) == (shaped, {})
    with pytest.raises(ValueError, match=r"exploration\.beta must be"):
        my_methods.HiddenNovelty(beta=1)


def test_the_override_switches_it_on(my_methods, composed):
    script, *overrides = shlex.split(BLOCKS["bash"])[1:]
    assert script == "scripts/run_grpo_cpu.sh"
    config = composed("exploration=grpo", *overrides)
    assert instantiate(config.exploration) == my_methods.HiddenNovelty(beta=0.5)


def test_the_config_file_switches_it_on(my_methods, composed, tmp_path):
    (tmp_path / "exploration").mkdir()
    (tmp_path / "exploration" / "hidden.yaml").write_text(BLOCKS["yaml"])
    script, override = re.search(r"`bash scripts/(\S+) (exploration=\S+)`", TEXT).groups()
    assert (ROOT / "scripts" / script).exists()
    searchpath = f"hydra.searchpath=[pkg://verl.trainer.config,file://{tmp_path}]"
    config = composed("exploration=grpo", override, searchpath)
    assert instantiate(config.exploration) == my_methods.HiddenNovelty(beta=0.5)
