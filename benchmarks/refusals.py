"""How long a run takes to say what is wrong: from the command to the message, one mistake after the other.

    .venv/bin/python benchmarks/refusals.py          # without a GPU; about five minutes, one row needs root

Writes refusals.csv: wall-clock and processor seconds, exit status and the sentence. Nothing of it starts Ray.
"""

import csv
import json
import os
import resource
import shlex
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
from token_pass_measure import machine

from g2rl.data.ensure import ensure
from g2rl.models import tiny_policy
from recipe.g2rl.driver.run_dir import only_run_in

ROOT = Path(__file__).parents[1]
CGROUP = "/sys/fs/cgroup"


@dataclass(frozen=True)
class Mistake:
    """shell: what stands in front of the command, in a mount namespace of its own, which needs root."""

    name: str
    overrides: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    shell: str = ""


def mistakes(folder: Path, cache: Path) -> list[Mistake]:
    """All that can be known before Ray starts, one of each kind. Their files are made in `folder`."""
    ensure("arithmetic", cache / "data-arithmetic")
    table = pq.read_table(cache / "data-arithmetic" / "train.parquet")
    files = {"empty": table.slice(0, 0), "five": table.slice(0, 5)}
    rows = table.to_pylist()[:40]
    rows[7]["reward_model"]["ground_truth"] = None
    files["null"] = table.from_pylist(rows, table.schema)
    rows[7]["reward_model"]["ground_truth"] = "1"
    for row in rows[:20]:
        row["prompt"][0]["content"] *= 9
    files["half"] = table.from_pylist(rows, table.schema)
    for name, rows_of_file in files.items():
        pq.write_table(rows_of_file, folder / f"{name}.parquet")
    (folder / "nan.jsonl").write_text('{"problem": "What is 0/0?", "answer": NaN}\n' * 40)
    silent = folder / "without_template"
    silent.mkdir()
    for file in tiny_policy(cache).iterdir():
        if file.name != "chat_template.jinja":
            (silent / file.name).symlink_to(file)
    return [
        Mistake("all prompts are too long", ["data.max_prompt_length=4"]),
        Mistake("half of the prompts are too long", [f"data.train_files={folder}/half.parquet"]),
        Mistake("an empty data file", [f"data.train_files={folder}/empty.parquet"]),
        Mistake("five rows", [f"data.train_files={folder}/five.parquet"]),
        Mistake("no chat template", [f"actor_rollout_ref.model.path={silent}"]),
        Mistake("an answer that is null", [f"data.train_files={folder}/null.parquet"]),
        Mistake("an answer that is NaN", ["task=jsonl"], {"DATA_FILE": str(folder / "nan.jsonl")}),
        Mistake("temperature 0", ["actor_rollout_ref.rollout.temperature=0"]),
        Mistake("a logger that is not installed", ["trainer.logger=[console,swanlab]"]),
        Mistake("fewer tokens than sequences", ["actor_rollout_ref.rollout.max_num_batched_tokens=16"]),
        Mistake("a setting that does not exist", ["data.train_batchsize=8"]),
        Mistake("an unknown method", ["exploration=g2r"]),
        Mistake("k of n", ["exploration=passk", "exploration.k=16"]),
        Mistake("= in run_dir", [f"run_dir={folder}/lr=3e-4"]),
        Mistake("a run_dir in use", [f"run_dir={folder}/in_use"]),
        Mistake("HOME cannot be written", [], {"HOME": "/proc/home"}),
        Mistake("TMPDIR is too long", [], {"TMPDIR": str(folder / ("x" * 60))}),
        Mistake("/dev/shm of 64 MiB", shell="mount -t tmpfs -o size=64m tmpfs /dev/shm"),
        # what a container sees that was given so much
        Mistake("memory of 1 GiB", shell=f"mount -t tmpfs none {CGROUP}; echo {2**30} >{CGROUP}/memory.max"),
    ]


def measure(mistake: Mistake, run_dir: Path) -> tuple[float, float, int, str]:
    """(wall-clock seconds, processor seconds, exit status, the sentence)."""
    named = any(override.startswith("run_dir=") for override in mistake.overrides)
    command = ["bash", "scripts/run_g2rl_cpu.sh", *mistake.overrides, *([] if named else [f"run_dir={run_dir}"])]
    if mistake.shell:
        command = ["unshare", "-m", "bash", "-c", f"{mistake.shell}; exec {shlex.join(command)}"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run = subprocess.run(
        command, cwd=ROOT, env=os.environ | mistake.environment, capture_output=True, text=True, timeout=300
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = (run.stdout + run.stderr).splitlines()
    said = [line for line in lines if line.startswith("error:") or "Could not" in line]  # the latter are Hydra's words
    return wall, processor, run.returncode, said[0] if said else "nothing"


def main() -> None:
    cache = Path(os.environ.get("G2RL_CACHE", ROOT / ".cache"))
    with tempfile.TemporaryDirectory() as name, only_run_in(Path(name) / "in_use"):
        folder, rows = Path(name), []
        for number, mistake in enumerate(mistakes(folder, cache)):
            if mistake.shell and os.geteuid() != 0:
                continue
            wall, processor, status, said = measure(mistake, folder / f"run{number}")
            said = said.replace(str(folder), "FOLDER").replace(str(ROOT), "PROJECT")
            rows.append([mistake.name, f"{wall:.1f}", f"{processor:.1f}", status, said])
            print(json.dumps(rows[-1]), flush=True)
    with open(ROOT / "benchmarks" / "refusals.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["machine", "mistake", "wall_s", "processor_s", "exit", "said"])
        writer.writerows([machine("cpu"), *row] for row in rows)


if __name__ == "__main__":
    main()
