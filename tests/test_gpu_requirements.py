"""What a GPU node installs can be installed: its requirements have a solution on the package index."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMAGE = re.findall(r"[\w-]+==[\w.]+", (ROOT / "docker/Dockerfile").read_text())


@pytest.mark.slow
def test_the_gpu_requirements_resolve_to_the_versions_that_the_project_is_written_for(tmp_path):
    """Asks the package index, as the installation of the tests did; nothing is downloaded whole or built.

    The versions that docker/Dockerfile pins are to be among them.
    """
    (tmp_path / "image.txt").write_text("\n".join(IMAGE))
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "requirements/gpu.txt"]
    command += ["--constraint", f"{tmp_path}/image.txt"]
    command += ["--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28"]
    resolved = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert resolved.returncode == 0, resolved.stderr
    versions = dict(line.split("==") for line in resolved.stdout.splitlines() if "==" in line and line[0] != " ")
    wanted = {"verl": "0.9.1", "torch": "2.11.0", "vllm": "0.24.0", "flash-attn": "2.8.3", "transformers": "5.9.0"}
    assert wanted.items() <= versions.items()
    assert versions["cupy-cuda13x"], "without it verl has no nccl checkpoint engine"
    assert {pin.partition("==")[0].lower() for pin in IMAGE} <= versions.keys()


def test_the_project_is_installed_without_its_dependencies_where_they_are_named():
    """torch and vLLM are the image's, the node's or the user's own; what else it needs stands beside it."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {line for line in needed if "==" in line} | {"transformers==5.9.0", "cupy-cuda13x==14.0.1"} <= set(IMAGE)
    names = {re.match(r"[\w-]+", line)[0] for line in needed} - {"hydra-core"}  # which verl brings
    for place in ("docker/Dockerfile", "requirements/gpu.txt", "docs/your_verl_run.md"):
        text = (ROOT / place).read_text()
        assert [name for name in sorted(names) if name not in text] == [], place
