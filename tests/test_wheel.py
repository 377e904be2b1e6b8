"""Installed from its wheel beside verl, without a checkout, the project runs from any folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTENT = ["pyproject.toml", "README.md", "LICENSE", "g2rl", "recipe", "configs"]
SEEN = """
import json, os
from importlib.metadata import entry_points
import g2rl, recipe.g2rl.main, verl
from verl.plugin.platform import PlatformRegistry
plugins = {group: [e.load() is not None for e in entry_points(group=group) if e.name == "g2rl"]
           for group in ("verl.plugins", "vllm.general_plugins")}
files = [g2rl.__file__, recipe.g2rl.main.__file__]
print(json.dumps({"plugins": plugins, "files": files, "cpu": PlatformRegistry.get("cpu") is not None}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A virtual environment with the wheel in it, which sees the packages of this one but not its checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()  # a folder without `build`, whose old files would come into the wheel
    for name in CONTENT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True)
        else:
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    (wheel,) = folder.glob("*.whl")
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
    python = folder / "venv/bin/python"
    packages = folder / "venv/lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    _run(*pip, "--python", str(python), "install", "--no-deps", str(wheel), env=_without_checkout())
    # Path files of the folder named here are not read, and one of them is this project's editable install.
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib"))
    return python


@pytest.fixture
def environment():
    return _without_checkout() | {"VERL_PLATFORM": "cpu", "HF_HUB_OFFLINE": "1"}


def _without_checkout() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _run(*command: str, **options) -> str:
    run = subprocess.run(command, capture_output=True, text=True, **options)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_verl_and_vllm_find_the_plugins_of_the_wheel(installed, environment, tmp_path):
    seen = json.loads(_run(str(installed), "-c", SEEN, cwd=tmp_path, env=environment).splitlines()[-1])
    assert seen["plugins"] == {"verl.plugins": [True], "vllm.general_plugins": [True]} and seen["cpu"]
    assert all(Path(file).is_relative_to(installed.parents[1]) for file in seen["files"])


def test_a_configuration_is_composed_and_checked_in_an_empty_folder(installed, environment, tmp_path):
    arguments = ["--config-name=verl", "exploration=progrpo", "+hardware=cpu", "data.train_files=rows.parquet"]
    arguments += ["actor_rollout_ref.model.path=some/model", "actor_rollout_ref.rollout.n=4"]
    arguments += ["data.train_batch_size=8", "actor_rollout_ref.actor.ppo_mini_batch_size=8"]
    arguments += ["actor_rollout_ref.actor.use_dynamic_bsz=true"]
    command = [str(installed), "-m", "recipe.g2rl.main", *arguments]
    shown = _run(*command, cwd=tmp_path, env=environment | {"DRY_RUN": "1"})
    assert "g2rl.methods.progrpo.ProGRPO" in shown and "not looked at: data.train_files" in shown
    loops = next(line.split()[-1] for line in shown.splitlines() if "agent_loop_config_path:" in line)
    assert Path(loops).is_relative_to(installed.parents[1]) and Path(loops).exists()


def test_another_version_of_verl_is_refused_by_name(installed, environment, tmp_path):
    other = tmp_path / "verl-0.8.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: verl\nVersion: 0.8.0\n")
    command = [str(installed), "-m", "recipe.g2rl.main", "--config-name=verl", "exploration=g2rl"]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: verl=={version('verl')} is wanted and 0.8.0 installed; install it")


@pytest.mark.e2e
@pytest.mark.slow
def test_a_step_is_trained_from_an_empty_folder(installed, environment, tmp_path):
    """With the model and the data that the project makes itself."""
    environment |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    environment |= {"G2RL_CACHE": os.environ.get("G2RL_CACHE", str(ROOT / ".cache"))}
    arguments = ["exploration=g2rl", "run_dir=run", "trainer.total_training_steps=1", "data.val_max_samples=8"]
    arguments += ["data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"]
    arguments += ["actor_rollout_ref.rollout.n=4", "trainer.save_freq=-1"]
    shown = _run(str(installed), "-m", "recipe.g2rl.main", *arguments, cwd=tmp_path, env=environment)
    assert "step 1/1" in shown
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 1 and "exploration/score_mean" in last["data"]
