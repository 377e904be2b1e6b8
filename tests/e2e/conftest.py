"""Real runs of the real stack on a CPU: Ray, FSDP over gloo, vLLM's CPU build, the tiny policy."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


class Run:
    """One training run in a folder of its own."""

    def __init__(self, run_dir: Path, tiny: Path, data: Path) -> None:
        self.run_dir = run_dir
        self.environment = os.environ | {
            "G2RL_MODEL_PATH": str(tiny),
            "G2RL_DATA_PATH": str(data),
            "PYTHONPATH": str(Path(__file__).parent / "probe"),
        }

    def start(self, *overrides: str) -> subprocess.Popen:
        arguments = sorted([f"run_dir={self.run_dir}", *overrides], key=lambda word: not word.startswith("--"))
        command = [sys.executable, "-m", "recipe.g2rl.main", *arguments]
        self.run_dir.mkdir(parents=True, exist_ok=True)
        with open(self.run_dir / "console.txt", "a") as console:
            return subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=console, stderr=console, preexec_fn=_hear_ctrl_c
            )

    def finish(self, *overrides: str) -> None:
        process = self.start(*overrides)
        assert process.wait() == 0, self.story()

    def wait_for(self, text: str, process: subprocess.Popen, timeout_s: float = 900) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in (self.run_dir / "console.txt").read_text():
            assert process.poll() is None, self.story()
            assert time.monotonic() < deadline, self.story()
            time.sleep(0.2)

    def story(self) -> str:
        log = self.run_dir / "train.log"
        tail = log.read_text(errors="replace")[-6000:] if log.exists() else ""
        return (self.run_dir / "console.txt").read_text() + tail

    def processes(self) -> list[psutil.Process]:
        """Everything alive that belongs to this run: its environment has the test's own folder in it."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("G2RL_TEST_RUN") == str(self.run_dir):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def assert_all_gone(self, within_s: float = 30) -> None:
        deadline = time.monotonic() + within_s
        while (alive := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not alive, [(process.pid, process.name()) for process in alive]


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """Makes a run: `stack(name)`. The tiny policy and the data are the project's own, made once."""
    os.environ |= {
        "VERL_PLATFORM": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "SPT_NOENV": "1",
    }
    cache = Path(os.environ.get("G2RL_CACHE", ROOT / ".cache"))
    tiny = Path(_output("-m", "g2rl.models", "--out", str(cache)).splitlines()[-1])
    data = tmp_path_factory.mktemp("arithmetic")
    _output("-m", "g2rl.data", "arithmetic", "--out", str(data))
    runs: list[Run] = []

    def make(name: str) -> Run:
        run = Run(tmp_path_factory.mktemp(name), tiny, data)
        run.environment["G2RL_TEST_RUN"] = str(run.run_dir)
        runs.append(run)
        return run

    yield make
    for run in runs:
        for process in run.processes():
            process.kill()


def _hear_ctrl_c() -> None:
    """As in a terminal, also where these tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _output(*command: str) -> str:
    return subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
