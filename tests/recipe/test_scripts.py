"""Every script composes a configuration that we and verl accept, and passes overrides on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from transformers import Qwen3Config

from g2rl.data.rows import make_row, write_rows

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("run_*.sh"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    Qwen3Config(vocab_size=16, hidden_size=8, num_hidden_layers=1).save_pretrained(folder)
    for name, source in {"train": "arithmetic", "math": "math", "math500": "math500", "dapo_math_17k": "math"}.items():
        rows = [make_row(source, "1 + 1?", "2", index=i, split="train", system_prompt=None) for i in range(512)]
        write_rows(rows, folder / f"{name}.parquet")
    (folder / "val.parquet").symlink_to("train.parquet")
    given = {"DRY_RUN": "1", "G2RL_DATA_PATH": str(folder), "PYTHON": sys.executable, "MODEL_FOLDER": str(folder)}
    return {name: value for name, value in os.environ.items() if name != "VERL_PLATFORM"} | given


def dry_run(script: str, environment: dict, *overrides: str) -> dict:
    # The environment that these tests run in is the one that setup_cpu_env would make.
    environment = environment | {"G2RL_VENV": str(Path(sys.executable).parents[1])}
    models = [f"{key}={environment['MODEL_FOLDER']}" for key in ("actor_rollout_ref.model.path", "embedding.model")]
    run = subprocess.run(
        ["bash", f"scripts/{script}", *models, *overrides], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return yaml.safe_load(run.stdout[run.stdout.index("actor_rollout_ref:") :])


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_composes_a_valid_configuration(script, environment):
    method = script.removeprefix("run_").partition("_")[0]
    config = dry_run(script, environment, "actor_rollout_ref.actor.optim.lr=1e-7", "trainer.total_training_steps=3")
    assert config["exploration"]["_target_"].lower().startswith(f"g2rl.methods.{method}.")
    assert config["actor_rollout_ref"]["actor"]["optim"]["lr"] == 1e-7
    assert config["trainer"]["total_training_steps"] == 3
    assert config["trainer"]["device"] == ("cpu" if script.endswith("_cpu.sh") else "cuda")


def test_another_model_behind_a_script_is_the_one_that_is_trained(environment):
    config = dry_run("run_g2rl_cpu.sh", environment, "model=qwen3_1_7b")
    assert config["trainer"]["experiment_name"] == "g2rl-qwen3_1_7b-arithmetic"
    assert config["data"]["max_response_length"] == 8192
    assert config["actor_rollout_ref"]["actor"]["optim"]["lr"] == 5e-7


def test_the_papers_setting(environment):
    config = dry_run("run_g2rl_qwen3_4b.sh", environment, "exploration.form=prose")
    assert config["exploration"]["form"] == "prose"
    rollout, actor = config["actor_rollout_ref"]["rollout"], config["actor_rollout_ref"]["actor"]
    assert (config["data"]["train_batch_size"], rollout["n"], actor["ppo_mini_batch_size"]) == (16, 16, 1)
    assert (actor["optim"]["lr"], actor["use_kl_loss"], actor["kl_loss_coef"]) == (5e-7, True, 0.001)
    assert (rollout["temperature"], rollout["val_kwargs"]["temperature"]) == (1.0, 0.8)
    assert config["data"]["max_response_length"] == 12288
    assert config["trainer"]["total_training_steps"] == 200
