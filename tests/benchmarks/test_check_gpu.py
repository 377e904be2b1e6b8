"""`scripts/check_gpu.sh` without a GPU: its plan, its parts cut off in time, its JSON and its tables."""

import json
import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check_gpu(*arguments: str, **environment: str) -> str:
    command = ["bash", "scripts/check_gpu.sh", *arguments]
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def test_the_plan_is_printed():
    plan = check_gpu(DRY_RUN="1").splitlines()
    assert plan[0].startswith("device and versions") and "token_pass.py" in "".join(plan)
    assert sum(int(line.split("at most")[1].split()[0]) for line in plan[:5]) <= 600  # the first five fit ten minutes
    for part in ("engine against autograd", "training, g2rl", "training, grpo", "kill -9 of an actor"):
        assert any(part in line for line in plan), part


@pytest.fixture
def training(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks/check_gpu"))
    return pytest.importorskip("training")


@pytest.mark.parametrize(("device", "policy"), [("cpu", ""), ("cuda", ""), ("cuda", "a/folder")])
def test_the_training_that_it_does_is_a_valid_run(training, monkeypatch, tmp_path, device, policy):
    environment = {name: os.environ[name] for name in os.environ if name not in ("VERL_PLATFORM", "G2RL_MODEL_PATH")}
    environment |= {"DRY_RUN": "1", "G2RL_CACHE": str(tmp_path)} | (training.ON_CPU if device == "cpu" else {})
    if policy:
        environment["G2RL_MODEL_PATH"] = policy
        monkeypatch.setenv("G2RL_MODEL_PATH", policy)
    command = [sys.executable, "-m", "recipe.g2rl.main", *training.arguments("g2rl", device, tmp_path / "run", 1)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert ("max_response_length: 2048" in run.stdout) == bool(policy) and "total_training_steps: 4" in run.stdout


def test_a_row_tells_time_memory_and_what_was_estimated(training, tmp_path):
    (tmp_path / "preflight.txt").write_text("update         35.6 GiB: the above\nrollout        71.0 GiB: vLLM's\n")
    with (tmp_path / "metrics.jsonl").open("w") as file:
        for step, seconds in ((1, 90.0), (2, 3.0), (3, 80.0), (4, 4.0)):  # 1 and 3 are the first of their processes
            data = {"timing_s/old_log_prob": seconds / 10, "timing_s/step": seconds, "actor/ppo_kl": -step / 1000}
            print(json.dumps({"step": step, "data": data | {"actor/perf/max_memory_allocated_gb": step}}), file=file)
    row = training.row("g2rl", tmp_path, "status 1 after 9 s")
    assert {
        "old_log_prob_s": "0.35",
        "step_s": "3.5",
        "allocated_GiB": "4.00",
        "ppo_kl": "0.004",
    }.items() <= row.items()
    assert row["estimated"] == "update 35.6 GiB, rollout 71.0 GiB" and row["killed_run"] == "status 1 after 9 s"


def test_a_run_that_is_cut_off_leaves_json_and_tables(tmp_path):
    page, results = tmp_path / "page.md", tmp_path / "results.json"
    page.write_text((ROOT / "docs/performance.md").read_text())
    printed = check_gpu("--device", "cpu", "--minutes", "0.4", "--out", str(results), "--tables", str(page))
    outcomes = [result["outcome"] for result in json.loads(results.read_text())]
    passed = list(takewhile(lambda outcome: outcome == "passed", outcomes))  # as many as this machine has time for
    cut_off, *later = outcomes[len(passed) :]
    assert passed and cut_off.startswith(("cut off after", "skipped: no time left"))
    assert later and set(later) == {"skipped: no time left"}
    assert len(printed.splitlines()) == len(outcomes)
    assert "| device and versions" in page.read_text() and page.read_text().endswith("<!-- end -->\n")
