"""Who lives how long, and where the sandbox works: kills, other users, containers, kernels without Landlock."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from g2rl.verify.code import CodePool, CodeSettings, probe

TESTS = json.dumps({"tests": [{"stdin": "1", "stdout": "1"}]})
RIGHT = "```python\nprint(input())\n```"
SLOW = "```python\nimport time; time.sleep(1.5); print(input())\n```"
RESTRICTED = Path(__file__).with_name("restricted.py")


def family(pid: int) -> list[int]:
    """A process's children, their children and so on."""
    direct = [int(c) for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
    return direct + [grandchild for child in direct for grandchild in family(child)]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_killed_server_costs_no_verdict():
    before = set(family(os.getpid()))
    with CodePool(1, CodeSettings(timeout_s=5)) as pool:
        assert pool.submit(RIGHT, TESTS).result().correct
        (server,) = set(family(os.getpid())) - before
        future = pool.submit(SLOW, TESTS)
        assert wait_until(lambda: family(server))
        (program,) = family(server)
        os.kill(server, signal.SIGKILL)
        assert future.result().correct
        assert not alive(program)
        future = pool.submit(SLOW, TESTS)
        for _ in range(2):
            assert wait_until(lambda: any(family(child) for child in set(family(os.getpid())) - before))
            (server,) = [child for child in set(family(os.getpid())) - before if family(child)]
            os.kill(server, signal.SIGKILL)
            assert wait_until(lambda dead=server: not alive(dead))
        with pytest.raises(RuntimeError, match="twice in a row"):
            future.result()
        assert pool.submit(RIGHT, TESTS).result().correct
    assert set(family(os.getpid())) == before


def test_a_killed_owner_leaves_nothing():
    script = (
        "from g2rl.verify.code import CodePool\npool = CodePool(2)\n"
        f"slow = {SLOW.replace('1.5', '600')!r}\nfutures = [pool.submit(slow, {TESTS!r}) for _ in range(2)]\n"
        "print('started', flush=True)\nfutures[0].result()\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdout.readline() == "started\n"
    assert wait_until(lambda: len(family(owner.pid)) == 4)  # two servers, two programs
    processes = family(owner.pid)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert wait_until(lambda: not any(map(alive, processes)))


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
