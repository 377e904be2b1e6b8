"""Who lives how long, and where the sandbox works: kills, other users, containers, kernels without Landlock."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import psutil
import pytest

from g2rl.verify.code import CodePool, CodeSettings, probe

TESTS = json.dumps({"tests": [{"stdin": "1", "stdout": "1"}]})
RIGHT = "```python\nprint(input())\n```"
SLOW = "```python\nimport time; time.sleep(1.5); print(input())\n```"
RESTRICTED = Path(__file__).with_name("restricted.py")


def started(number: int, owner: psutil.Process, besides: Collection[psutil.Process] = ()) -> list[psutil.Process]:
    """Waits until a process has so many descendants, besides some, and returns them, parents first."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = [process for process in owner.children(recursive=True) if process not in besides]
        if len(found) == number:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_a_killed_server_costs_no_verdict():
    here = psutil.Process()
    before = here.children(recursive=True)
    with CodePool(1, CodeSettings(timeout_s=5)) as pool:
        assert pool.submit(RIGHT, TESTS).result().correct
        future = pool.submit(SLOW, TESTS)
        server, program = started(2, here, besides=before)
        server.kill()
        assert future.result().correct
        program.wait(20)
        future = pool.submit(SLOW, TESTS)
        for _ in range(2):
            server, _ = started(2, here, besides=before)
            server.kill()
            server.wait(20)
        with pytest.raises(RuntimeError, match="twice in a row"):
            future.result()
        assert pool.submit(RIGHT, TESTS).result().correct
    assert here.children(recursive=True) == before


def test_a_killed_owner_leaves_nothing():
    script = (
        "from g2rl.verify.code import CodePool\npool = CodePool(2)\n"
        f"slow = {SLOW.replace('1.5', '600')!r}\nfutures = [pool.submit(slow, {TESTS!r}) for _ in range(2)]\n"
        "print('started', flush=True)\nfutures[0].result()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "started\n"
        processes = started(4, psutil.Process(owner.pid))  # two servers, two programs
        owner.kill()
    assert psutil.wait_procs(processes, timeout=20)[1] == []


def test_a_program_of_another_interpreter():
    settings = CodeSettings(python=sys._base_executable)  # type: ignore[attr-defined]  # without this one's packages
    with CodePool(1, settings) as pool:
        assert pool.submit(RIGHT, TESTS).result().correct


@pytest.mark.parametrize("isolation", ["seccomp", "none"])
def test_weaker_isolation_says_so(isolation):
    settings = CodeSettings(isolation=isolation)
    assert ("does not keep them from reading" if isolation == "seccomp" else "nothing but limits") in probe(settings)
    reads = "```python\nopen('/etc/passwd'); print(input())\n```"
    with CodePool(1, settings) as pool:
        assert pool.submit(reads, TESTS).result().correct


def restricted(*options: str, command: list[str]) -> subprocess.CompletedProcess:
    """Run a command under a filter of system calls like docker's, perhaps as another user."""
    return subprocess.run([sys.executable, RESTRICTED, *options, *command], capture_output=True, text=True)


def test_without_landlock_and_bubblewrap_it_is_refused_in_one_sentence():
    ask = [sys.executable, "-c", "from g2rl.verify.code import probe; probe()"]
    last = restricted("--no-landlock", command=ask).stderr.splitlines()[-1]
    assert last.startswith("ValueError: programs that a model wrote would run unconfined here")
    assert "isolation=seccomp" in last


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
@pytest.mark.slow
def test_without_landlock_bubblewrap_confines():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(Path(__file__).with_name("test_hostile.py")),
    ]
    ask = [sys.executable, "-c", "from g2rl.verify.code import probe; print(probe())"]
    assert "bubblewrap" in restricted("--no-landlock", "--namespaces", command=ask).stdout
    done = restricted("--no-landlock", "--namespaces", command=command)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user cannot become another; all other tests run as one")
@pytest.mark.parametrize("user", ["0", "10001"])
def test_in_a_container_the_outcomes_are_the_same(user):
    tests = [str(Path(__file__).with_name(name)) for name in ("test_hostile.py", "test_idioms.py")]
    done = restricted("--user", user, command=[sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
