"""Ten faults, one after the other, in one run: what the user sees, what is left, and where the run goes on.

With `G2RL_FAULTS_TABLE=docs/faults.md` the results are written into that page, below its last heading.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

STEPS = 30
OVERRIDES = [
    "exploration=g2rl",
    "data.train_batch_size=4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
    f"trainer.total_training_steps={STEPS}",
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
    "trainer.save_freq=1",
    "trainer.max_actor_ckpt_to_keep=3",
    "trainer.checkpoint_callback_class=probe.Prompts",
]
GONE_WITHIN_S = 30
ENDS_WITHIN_S = 60

DIED = "died (killed, crashed or out of memory)"


@dataclass
class Row:
    fault: str
    seen: str
    status: str
    seconds: float
    last_step: int
    resumed_at: int


class Faults:
    """One run that is hurt again and again; each fault ends in a row of the table."""

    def __init__(self, run) -> None:
        self.run, self.rows = run, []
        self.process = None

    def hurt(
        self, name: str, inject: Callable[[], None], *overrides: str, shown: str = "error:", status: int = 1
    ) -> None:
        """Let the run make a step, do `inject`, and see it end with one line that has `shown` in it."""
        last = self.start_and_make_a_step(*overrides)
        time.sleep(1)  # in the middle of the next step
        start, before = time.monotonic(), len(self.console())
        inject()
        assert self.process.wait(timeout=ENDS_WITHIN_S) == status, self.run.story()
        seconds = time.monotonic() - start
        lines = [line for line in self.console()[before:] if shown in line]
        assert len(lines) == 1 if shown else not lines, self.run.story()
        assert "Traceback" not in "\n".join(self.console())
        self.run.assert_all_gone(GONE_WITHIN_S)
        self.close_row(last)
        self.rows.append(Row(name, lines[0] if lines else "", str(status), seconds, self.newest()[0], 0))

    def start_and_make_a_step(self, *overrides: str) -> int:
        before = len(self.console())
        self.process = self.run.start(*OVERRIDES, *overrides)
        deadline = time.monotonic() + 900
        while not (steps := self.steps(before)):
            assert self.process.poll() is None, self.run.story()
            assert time.monotonic() < deadline, self.run.story()
            time.sleep(0.1)
        return steps[0]

    def close_row(self, resumed_at: int) -> None:
        if self.rows:
            self.rows[-1].resumed_at = resumed_at

    def console(self) -> list[str]:
        path = self.run.run_dir / "console.txt"
        return path.read_text().splitlines() if path.exists() else []

    def steps(self, since: int = 0) -> list[int]:
        lines = [line for line in self.console()[since:] if line.startswith("step ")]
        return [int(line.split()[1].partition("/")[0]) for line in lines]

    def kill(self, name: str) -> Callable[[], None]:
        def kill_it() -> None:
            found = [process for process in self.run.processes() if name in " ".join(process.cmdline())]
            assert found, f"no process {name}: {[process.cmdline()[:1] for process in self.run.processes()]}"
            found[0].kill()

        return kill_it

    def newest(self) -> tuple[int, Path]:
        checkpoints = self.run.run_dir / "checkpoints"
        step = int((checkpoints / "latest_checkpointed_iteration.txt").read_text())
        return step, checkpoints / f"global_step_{step}"


@pytest.fixture
def small_disk():
    """Makes a folder into a file system of 200 MB."""
    mounted: list[Path] = []

    def mount(folder: Path) -> Path:
        folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk is made by mounting a small one, which needs root")
def test_ten_faults(stack, tmp_path, small_disk):
    run = stack("faults")
    data = tmp_path / "train.parquet"
    original = (Path(run.environment["G2RL_DATA_PATH"]) / "train.parquet").read_bytes()
    data.write_bytes(original)
    checkpoints = small_disk(run.run_dir / "checkpoints")
    faults = Faults(run)
    train_files = f"data.train_files={data}"

    faults.hurt("`kill -9` of an FSDP actor", faults.kill("ray::WorkerDict"), train_files, shown=DIED)
    faults.hurt("`kill -9` of vLLM's engine core", faults.kill("EngineCore"), train_files, shown=DIED)
    faults.hurt("`kill -9` of the reward worker", faults.kill("RewardLoopWorker"), train_files, shown=DIED)
    faults.hurt("`kill -9` of TransferQueue's storage", faults.kill("SimpleStorageUnit"), train_files, shown=DIED)

    def fill_disk() -> None:
        with open(checkpoints / "filler", "wb") as file:
            while True:
                try:
                    file.write(bytes(1 << 16))
                    file.flush()
                except OSError:
                    return

    faults.hurt("disk full during a checkpoint", fill_disk, train_files, shown="could not be written")
    os.remove(checkpoints / "filler")

    def terminate() -> None:
        faults.process.send_signal(signal.SIGTERM)

    faults.hurt("SIGTERM, as a scheduler sends it", terminate, train_files, shown="ended by SIGTERM", status=143)

    def kill_and_truncate() -> None:
        faults.process.kill()
        run.assert_all_gone(GONE_WITHIN_S)  # the trainer lives a moment longer and may save once more
        shard = next(faults.newest()[1].glob("actor/model_world_size_*"))
        os.truncate(shard, shard.stat().st_size // 2)

    faults.hurt(
        "`kill -9` of the driver, and a checkpoint's shard truncated",
        kill_and_truncate,
        train_files,
        shown="",
        status=-9,
    )
    assert_tells = "is not whole (actor/model_world_size_1_rank_0.pt has"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 8265))
        taken.listen()
        dashboard = "ray_kwargs.ray_init.include_dashboard=true"

        def replace_data() -> None:
            data.write_bytes((Path(run.environment["G2RL_DATA_PATH"]) / "val.parquet").read_bytes())
            faults.process.kill()

        faults.hurt(
            "data file replaced, and `kill -9` of the driver (dashboard port taken)",
            replace_data,
            train_files,
            dashboard,
            shown="",
            status=-9,
        )
    assert sum(assert_tells in line for line in faults.console()) == 1, run.story()
    refused = run.start(*OVERRIDES, train_files)
    assert refused.wait(timeout=60) == 2
    assert "is not the file that" in faults.console()[-1]
    data.write_bytes(original)

    last = faults.start_and_make_a_step(train_files)
    assert faults.process.wait(timeout=900) == 0, run.story()
    run.assert_all_gone(GONE_WITHIN_S)
    faults.close_row(last)
    assert [row.resumed_at - row.last_step for row in faults.rows] == [1, 1, 1, 1, 1, 1, 0, 1]
    assert_each_sample_once(run, data, unrecorded={row.last_step for row in faults.rows})
    if page := os.environ.get("G2RL_FAULTS_TABLE"):
        write_table(Path(page), faults.rows)


def assert_each_sample_once(run, data: Path, unrecorded: set[int]) -> None:
    """What the steps were trained on is the seeded order of the data: nothing is left out, nothing comes twice.

    A step that was saved just before a fault may be missing in the record. The ones after it show that its samples
    count as used.
    """
    trained = {}
    for line in (run.run_dir / "prompts.jsonl").read_text().splitlines():
        record = json.loads(line)
        trained[record["step"]] = record["prompts"]  # a step that was done again counts once
    missing = set(range(1, STEPS + 1)) - set(trained)
    assert missing <= unrecorded and trained.keys() <= set(range(1, STEPS + 1)), missing
    problems = [row["prompt"][-1]["content"] for row in pq.read_table(data).to_pylist()]
    order = torch.randperm(len(problems), generator=torch.Generator().manual_seed(1)).tolist()
    for step, prompts in trained.items():
        expected = [problems[i] for i in order[4 * (step - 1) : 4 * step]]
        assert sorted(sum(problem in prompt for prompt in prompts) for problem in expected) == [4] * 4, step


def write_table(page: Path, rows: list[Row]) -> None:
    text = page.read_text()
    head = text[: text.rindex("\n## ")] + "\n## What was seen\n\n"
    table = ["| fault | what the user sees | exit | ended after | last step | goes on at |", "|" + " --- |" * 6]
    for row in rows:
        seen = re.sub(r"process \d+ on \S+,", "process PID on ADDRESS,", row.seen)
        seen = re.sub(r"/\S+/checkpoints", "RUN_DIR/checkpoints", seen)
        cells = [row.fault, seen or "nothing: there is nobody left to say it", row.status]
        cells += [f"{row.seconds:.0f} s", str(row.last_step), str(row.resumed_at)]
        table.append("| " + " | ".join(cells) + " |")
    page.write_text(head + "\n".join(table) + "\n")
