"""`scripts/check_gpu.sh` without a GPU: its plan, its parts cut off in time, its JSON and its tables."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def check_gpu(*arguments: str, **environment: str) -> str:
    command = ["bash", "scripts/check_gpu.sh", *arguments]
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def test_the_plan_is_printed():
    plan = check_gpu(DRY_RUN="1").splitlines()
    assert plan[0].startswith("device and versions") and "token_pass.py" in "".join(plan)
    assert sum(int(line.split("at most")[1].split()[0]) for line in plan[:5]) <= 600  # the first five fit ten minutes


def test_a_run_that_is_cut_off_leaves_json_and_tables(tmp_path):
    page, results = tmp_path / "page.md", tmp_path / "results.json"
    page.write_text((ROOT / "docs/performance.md").read_text())
    printed = check_gpu("--device", "cpu", "--minutes", "0.4", "--out", str(results), "--tables", str(page))
    outcomes = {result["part"]: result["outcome"] for result in json.loads(results.read_text())}
    assert outcomes["device and versions"] == "passed"
    assert outcomes["kernels against autograd"].startswith("cut off") and "no time left" in outcomes["growth"]
    assert len(printed.splitlines()) == len(outcomes)
    assert "| device and versions" in page.read_text() and page.read_text().endswith("<!-- end -->\n")
