"""A setting in configs/ is one that verl, Ray or this project has; overrides in documents and scripts compose."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import ray
import yaml
from omegaconf import OmegaConf
from verl.workers.config import FSDPEngineConfig, RolloutConfig

ROOT = Path(__file__).parents[2]
# Refused elsewhere when it is unknown: by the object that is made of it, or by RewardSettings. The model's own
# configuration takes any name; what a task calls its folder is read in the same file.
OPEN = ("exploration.", "inputs.", "prepare.", "reward.reward_kwargs.", "actor_rollout_ref.model.override_config.")
OPEN += ("data_folder", "seed", "score_on")  # the last two are the laboratory's
# Nodes that verl turns into these, and hands to ray.init: names that its own files leave at their defaults.
FIELDS = {
    "actor_rollout_ref.actor.fsdp_config.": {field.name for field in fields(FSDPEngineConfig)},
    "actor_rollout_ref.ref.fsdp_config.": {field.name for field in fields(FSDPEngineConfig)},
    "actor_rollout_ref.rollout.": {field.name for field in fields(RolloutConfig)},
    "ray_kwargs.ray_init.": set(inspect.signature(ray.init).parameters),
}


def paths(node: dict, above: str = "") -> Iterator[str]:
    """The dotted names of all settings, and of the nodes that hold them."""
    for key, value in node.items():
        yield f"{above}{key}"
        if isinstance(value, dict):
            yield from paths(value, f"{above}{key}.")


def is_field(setting: str) -> bool:
    nodes = (node for node in FIELDS if setting.startswith(node))
    return any(setting.removeprefix(node).partition(".")[0] in FIELDS[node] for node in nodes)


def test_every_setting_exists(composed):
    """Hydra adds a name that nobody reads without an error."""
    base = composed("hydra.searchpath=[pkg://verl.trainer.config]", name="base")
    there = set(paths(OmegaConf.to_container(base)))
    assert "trainer.save_freq" in there and "trainer.save_frequency" not in there
    for file in (ROOT / "configs").rglob("*.yaml"):
        settings = yaml.safe_load(file.read_text())
        ours = paths({name: value for name, value in settings.items() if name not in ("defaults", "hydra")})
        unknown = [setting for setting in ours if setting not in there and not is_field(setting)]
        assert [setting for setting in unknown if not f"{setting}.".startswith(OPEN)] == [], file


def documented() -> list[tuple[str, list[str]]]:
    """Hydra overrides after a command that trains, with the file that has it."""
    found = []
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docker/*"), *ROOT.glob("scripts/**/*.sh")]
    files += [ROOT / "scripts/cluster/slurm.sbatch"]
    for file in files:
        text = file.read_text().replace("\\\n", " ")
        for line in re.findall(r"(?:scripts/(?:run_|cluster/)\S+|recipe\.g2rl\.(?:main|checks))\"? (.*)", text):
            words = re.sub("['\"]", "", line.partition("#")[0].partition("|")[0]).replace("`", " ").split()
            overrides = [word for word in words if re.fullmatch(r"[+~]*[a-z][\w.@/]*=\S+", word) and "$" not in word]
            if overrides and "exploration=hidden" not in overrides:  # tests/methods has the file of that name
                found.append((f"{file.relative_to(ROOT)}: {line}", overrides))
    return found


@pytest.mark.parametrize(("where", "overrides"), documented())
def test_a_documented_override_composes(where, overrides, composed):
    composed(*overrides)
