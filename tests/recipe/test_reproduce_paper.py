"""scripts/reproduce_paper.sh without GPUs: its plan, and that it goes on where it was cut off.

What trains and what samples is a stand-in that leaves the same files behind; the scripts and the report are real.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
module, arguments = sys.argv[2], sys.argv[3:]
given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
if module == "recipe.g2rl.main":
    run = Path(given["run_dir"])
    run.mkdir(parents=True, exist_ok=True)
    with open(os.environ["CALLS"], "a") as calls:
        print(given["exploration"], run.name, given["data.seed"], given["lr"], file=calls)
    if run.name == os.environ.get("CUT_OFF"):
        sys.exit(1)
    for step in (1, 2):
        with (run / "metrics.jsonl").open("a") as file:
            print(json.dumps({{"step": step, "data": {{"reward/pass_rate": 0.1 * step}}}}), file=file)
    (run / "summary.md").write_text("table")
elif module == "recipe.g2rl.tools.evaluate" and arguments[0] != "--compare":
    out = Path(arguments[arguments.index("--out") + 1])
    samples = int(arguments[arguments.index("--num-samples") + 1]) if "--num-samples" in arguments else 8
    if arguments[0] == "geometry":
        out.mkdir(parents=True)
        (out / "geometry.json").write_text(json.dumps(arguments[1 : arguments.index("--max-tokens")]))
        sys.exit()
    decoding = dict(temperature=0.8, top_p=1.0, top_k=-1, max_tokens=8192, seed=0, dtype="bfloat16", data_sha256="0")
    for benchmark in arguments[1 : arguments.index("--num-samples")]:
        (out / benchmark).mkdir(parents=True)
        metrics = {{f"pass@{{k}}": dict(mean=0.5, low=0.4, high=0.6) for k in (1, samples)}}
        result = dict(settings=decoding | dict(benchmark=benchmark, num_samples=samples), metrics=metrics)
        (out / benchmark / "result.json").write_text(json.dumps(result | dict(num_samples=samples)))
elif module == "g2rl.data":
    out = Path(arguments[arguments.index("--out") + 1])
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{{arguments[0]}}.parquet").touch()
else:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def reproduce(tmp_path):
    """reproduce(**environment): the script's result with two methods, two models and one seed."""
    (tmp_path / "python").write_text(STAND_IN)
    (tmp_path / "python").chmod(0o755)

    def run(**environment: str) -> subprocess.CompletedProcess:
        knobs = {"METHODS": "grpo g2rl", "SEEDS": "3", "OUT": f"{tmp_path}/out", "MAX_RESTARTS": "0"}
        knobs |= {"PYTHON": f"{tmp_path}/python", "G2RL_DATA_PATH": f"{tmp_path}/data", "CALLS": f"{tmp_path}/calls"}
        command = ["bash", "scripts/reproduce_paper.sh", "lr=5e-7"]
        return subprocess.run(command, cwd=ROOT, env=os.environ | knobs | environment, capture_output=True, text=True)

    return run


def test_the_plan_has_every_part_with_estimated_gpu_hours(reproduce, tmp_path):
    run = reproduce(DRY_RUN="1", SEEDS="1 2")
    assert run.returncode == 0, run.stderr
    *lines, last = run.stdout.splitlines()
    kinds = [line.split()[0] for line in lines]
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert counts == {"data": 7, "train": 8, "mathematics": 8, "gpqa": 4, "mmlu_pro": 4, "geometry": 2}
    hours = [float(line.split()[1]) for line in lines]
    assert sum(hours) == pytest.approx(float(last.split()[1]), abs=3) and "an estimate" in last
    assert not (tmp_path / "out").exists()


def test_what_was_cut_off_is_tried_again_and_what_is_done_is_not(reproduce, tmp_path):
    cut = "g2rl-qwen3_4b-seed3"
    run = reproduce(CUT_OFF=cut)
    assert run.returncode == 1 and f"not made: {tmp_path}/out/{cut}/summary.md" in run.stderr
    assert not (tmp_path / "out" / cut / "evaluation").exists()
    missing = [line.split()[0] for line in reproduce(DRY_RUN="1").stdout.splitlines()]
    assert missing == [
        "train",
        "mathematics",
        "gpqa",
        "mmlu_pro",
        "geometry",
        "all",
    ]

    run = reproduce()
    assert run.returncode == 0, run.stderr
    names = ["grpo-qwen3_1_7b", "g2rl-qwen3_1_7b", "grpo-qwen3_4b", "g2rl-qwen3_4b", "g2rl-qwen3_4b"]
    calls = [f"{name.partition('-')[0]} {name}-seed3 3 5e-7" for name in names]
    assert (tmp_path / "calls").read_text().splitlines() == calls
    for model in ("qwen3_1_7b", "qwen3_4b"):
        geometry = json.loads((tmp_path / f"out/geometry-{model}/geometry.json").read_text())
        policies = [f"{method}={tmp_path}/out/{method}-{model}-seed3/checkpoints" for method in ("grpo", "g2rl")]
        assert geometry == policies
    tables = " ".join((tmp_path / "out/report/tables.md").read_text().split())
    assert "| math500 | g2rl-qwen3_4b-seed3 | 50.0 [40.0, 60.0]" in tables
    assert "Qwen3-4B-Base (arXiv:2512.15687)" in tables
    assert (tmp_path / "out/report/report.html").is_file() and (tmp_path / "out/report/curves.png").is_file()
    assert reproduce(DRY_RUN="1").stdout.split()[:2] == ["all", "0"]
