"""Every setting in configs, scripts, images and documents exists, and somebody reads it: verl, Ray or this project."""

import inspect
import re
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import ray
import verl
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from verl.workers.config import FSDPEngineConfig, RolloutConfig

ROOT = Path(__file__).parents[2]
OURS = ("cache", "correct_above", "data_folder", "exploration", "gpu_memory_gib", "inputs", "poll_interval_s")
OURS += ("prepare", "reward.reward_kwargs", "reward_gap", "reward_limits", "run_dir", "score_on", "seed")
# Nodes whose keys verl hands on as they are.
RAY_INIT, MODEL_CONFIG = "ray_kwargs.ray_init", "actor_rollout_ref.model.override_config"


def leaves(node: dict, path: str = "") -> set[str]:
    found = set()
    for key, value in node.items():
        below = f"{path}.{key}" if path else str(key)
        found |= leaves(value, below) if isinstance(value, dict) and value else {below}
    return found


def configured() -> set[str]:
    found = set()
    for file in (ROOT / "configs").rglob("*.yaml"):
        settings = yaml.safe_load(file.read_text())
        found |= leaves({key: value for key, value in settings.items() if key not in ("defaults", "hydra")})
    return found


def documented() -> list[tuple[str, list[str]]]:
    """Hydra overrides after a command that trains, with the file that has it."""
    found = []
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docker/*"), *ROOT.glob("scripts/**/*.sh")]
    files += [ROOT / "scripts/cluster/slurm.sbatch"]
    for file in files:
        text = file.read_text().replace("\\\n", " ")
        for line in re.findall(r"(?:scripts/(?:run_|cluster/)\S+|recipe\.(?:main|preflight))\"? (.*)", text):
            words = re.sub("['\"]", "", line.partition("#")[0].partition("|")[0]).replace("`", " ").split()
            overrides = [word for word in words if re.fullmatch(r"[+~]*[a-z][\w.@/]*=\S+", word) and "$" not in word]
            if overrides and "exploration=hidden" not in overrides:  # tests/methods has the file of that name
                found.append((f"{file.relative_to(ROOT)}: {line}", overrides))
    return found


@cache
def source(package: str) -> str:
    """All of a package's Python but the definitions of its settings, which read nothing."""
    root = ROOT / package
    if package in ("verl", "transfer_queue"):
        root = Path(str(find_spec(package).origin)).parent  # type: ignore[union-attr]
    skipped = {root / "workers/config", root / "trainer/config"}
    return "\n".join(path.read_text() for path in root.rglob("*.py") if not skipped & set(path.parents))


def is_read(setting: str, *packages: str) -> bool:
    """Is its last name an attribute, a key or a keyword somewhere in the code?"""
    name = re.escape(setting.rpartition(".")[2])
    return any(
        re.search(rf"\.{name}\b|[\"']{name}[\"']|\b{name}(: [^=\n]+)?\s*=", source(package)) for package in packages
    )


@pytest.mark.parametrize("setting", sorted(configured()))
def test_a_configured_setting_is_read(setting):
    if setting.startswith(RAY_INIT):
        assert setting.rpartition(".")[2] in inspect.signature(ray.init).parameters
    elif setting.startswith(OURS):
        assert is_read(setting, "g2rl", "recipe") or setting.endswith(("_target_", "data_folder", "processes"))
    elif not setting.startswith(MODEL_CONFIG):
        assert is_read(setting, "verl", "transfer_queue"), f"verl does not read {setting}"


@pytest.fixture(scope="module")
def verls_own() -> dict:
    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer/config"), version_base=None):
        return OmegaConf.to_container(compose("ppo_trainer"))  # type: ignore[return-value]


def test_a_configured_setting_is_one_that_verl_has(verls_own):
    """Hydra would add any other in silence. These are added, and verl's dataclasses take them."""
    known = {path.rpartition(".")[0] for path in leaves(verls_own)} | leaves(verls_own)
    added = {s for s in configured() if s not in known and not s.startswith((*OURS, RAY_INIT, MODEL_CONFIG))}
    for setting in added:
        name = "mixed_precision" if ".mixed_precision." in setting else setting.rpartition(".")[2]
        taken_by = FSDPEngineConfig if "fsdp_config" in setting else RolloutConfig
        assert name in {field.name for field in fields(taken_by)}, setting
    assert len(added) == 7, added  # the two float32 policies of hardware/cpu, and its vLLM without sleep mode


@pytest.mark.parametrize(("where", "overrides"), documented())
def test_a_documented_override_composes(where, overrides):
    with initialize_config_dir(str(ROOT / "configs"), version_base=None):
        compose("trainer", ["trainer.experiment_name=test", *overrides])


def test_an_unknown_setting_would_be_found(verls_own):
    assert not is_read("actor_rollout_ref.actor.no_such_setting", "verl")
    assert len(documented()) >= 5
