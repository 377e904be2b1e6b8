"""docker/Dockerfile.cpu built by a container engine, and its health check in it, as its user.

The engine is buildah, which needs no daemon; the image that it starts from is a Debian made on the spot.
"""

import os
import shutil
import subprocess
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


@pytest.mark.slow
def test_the_cpu_image_is_built_and_healthy(buildah, base):
    """A run in it is not shown: in a chroot with 1,024 open files it loads the model, and then loses a vLLM server."""
    buildah("bud", "--network=host", "--pull-never", f"--from={base}", "-f", "docker/Dockerfile.cpu", "-t", IMAGE, ".")
    container = buildah("from", "--pull-never", IMAGE)
    assert buildah("run", container, "--", "id", "-u") == str(USER)
    assert "plugin         registered" in buildah("run", container, "--", "bash", "scripts/check.sh")
