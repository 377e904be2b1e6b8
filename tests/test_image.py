"""docker/Dockerfile.cpu built by a container engine, and in it, as its user, the health check and two training steps.

The engine is buildah, which needs no daemon; the image that it starts from is a Debian made on the spot.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMAGE, USER = "localhost/g2rl-cpu-test", 10001
ENVIRONMENT = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
# How this machine reaches its package index, where it is told so: the image from a hub would be told by its build.
OF_PIP = ("/etc/pip.conf", "/etc/xdg/pip", "/etc/ssl/certs/ca-certificates.crt")


@pytest.fixture
def buildah(tmp_path):
    """buildah(*arguments): what it printed. Containers and images are its own and go with the test."""
    for tool in ("buildah", "debootstrap"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: apt install {tool}")
    if os.getuid():
        pytest.skip("debootstrap needs root")

    def run(*arguments: str) -> str:
        command = ["buildah", "--root", f"{tmp_path}/storage", "--runroot", f"{tmp_path}/run", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout.strip()

    yield run
    shutil.rmtree(tmp_path / "storage", ignore_errors=True)


@pytest.fixture
def base(buildah, tmp_path):
    """The name of an image with what `python:3.11-slim-bookworm` has."""
    root = tmp_path / "debian"
    subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root], check=True)
    for path in map(Path, OF_PIP):
        if path.exists():
            copy = root / path.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
    container = buildah("from", "scratch")
    buildah("copy", "--quiet", container, str(root), "/")
    buildah("commit", "--quiet", "--rm", container, "localhost/python-stand-in")
    shutil.rmtree(root)
    return "localhost/python-stand-in"


def test_the_packages_layer_has_what_the_installation_asks_of_the_project(tmp_path):
    """All of the installation but pip, on the files that the image has at that time."""
    before, _, _ = (ROOT / "docker/Dockerfile.cpu").read_text().partition("setup_cpu_env")
    for line in before.splitlines():
        if line.startswith("COPY"):
            *sources, target = line.split()[2:]
            for source in map(ROOT.joinpath, sources):
                copy = tmp_path / target / (source.name if target.endswith("/") else "")
                copy.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    script = "source scripts/common.sh; install() { :; }; setup_cpu_env"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "G2RL_VENV": str(tmp_path / "venv")}
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "venv/installed-from").exists()


@pytest.mark.slow
def test_the_cpu_image_is_built_and_trains(buildah, base):
    buildah("bud", "--network=host", "--pull-never", f"--from={base}", "-f", "docker/Dockerfile.cpu", "-t", IMAGE, ".")
    container = buildah("from", "--pull-never", IMAGE)

    def inside(*command: str) -> str:
        return buildah("run", container, "--", *command)

    assert inside("id", "-u") == str(USER)
    assert "plugin         registered" in inside("bash", "scripts/check.sh")
    printed = inside("bash", "scripts/run_g2rl_cpu.sh", "trainer.total_training_steps=2", "trainer.test_freq=-1")
    assert "step 2/2" in printed and "finished in" in printed
    assert "checkpoint  /g2rl/outputs/" in printed
