"""What a GPU node installs can be installed: its requirements have a solution on the package index."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_gpu_requirements_resolve_to_the_versions_that_the_project_is_written_for():
    """Asks the package index, as the installation of the tests did; nothing is downloaded whole or built."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "requirements/gpu.txt"]
    command += ["--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28"]
    resolved = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert resolved.returncode == 0, resolved.stderr
    versions = dict(line.split("==") for line in resolved.stdout.splitlines() if "==" in line and line[0] != " ")
    wanted = {"verl": "0.9.1", "torch": "2.11.0", "vllm": "0.24.0", "flash-attn": "2.8.3", "transformers": "5.9.0"}
    assert wanted.items() <= versions.items()
    assert versions["cupy-cuda13x"], "without it verl has no nccl checkpoint engine"
