"""A few steps of training, and a kill in their midst: `training.py METHOD [--kill] [--device cpu] --out CSV`.

A policy in the folder that G2RL_MODEL_PATH names is trained as model=qwen3_1_7b. Without one it is the tiny policy,
made on the spot: then all that the figures tell is that the stack works.
"""

import argparse
import csv
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
STEPS = 4
KILLED_AFTER = 2  # the step whose checkpoint is there when the actor is killed
ON_CPU = {"VERL_PLATFORM": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
ON_CPU |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def arguments(method: str, device: str, run_dir: Path, save_freq: int) -> list[str]:
    """Of recipe.g2rl.main: one mini-batch a step, so that `actor/ppo_kl` is what the two passes round differently."""
    is_large = "G2RL_MODEL_PATH" in os.environ and device == "cuda"
    prompts, responses = (16, 16) if is_large else (4, 4)
    return [
        "hardware=cpu" if device == "cpu" else "hardware=one_node",
        "model=qwen3_1_7b" if is_large else "model=tiny",
        "task=arithmetic",
        f"exploration={method}",
        f"run_dir={run_dir}",
        "trainer.n_gpus_per_node=1",
        f"data.train_batch_size={prompts}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={prompts}",
        f"actor_rollout_ref.rollout.n={responses}",
        *(["data.max_response_length=2048"] if is_large else []),
        f"trainer.total_training_steps={STEPS}",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        f"trainer.save_freq={save_freq}",
    ]


def start(command: list[str], device: str) -> subprocess.Popen:
    environment = os.environ | (ON_CPU if device == "cpu" else {})
    return subprocess.Popen([sys.executable, "-m", "recipe.g2rl.main", *command], cwd=ROOT, env=environment)


def kill_an_actor(run: subprocess.Popen, checkpoint: Path) -> str:
    """SIGKILL to the FSDP worker once the checkpoint is whole; what came of it, in words."""
    while not checkpoint.exists():
        if run.poll() is not None:
            return f"ended with status {run.returncode} before {checkpoint.name}"
        time.sleep(0.2)
    children = psutil.Process(run.pid).children(recursive=True)
    actors = [child for child in children if "ray::WorkerDict" in " ".join(child.cmdline())]
    if not actors:
        return "found no actor to kill"
    actors[0].kill()
    killed = time.monotonic()
    status = run.wait()
    return f"status {status} after {time.monotonic() - killed:.0f} s"


def row(method: str, run_dir: Path, ended: str) -> dict[str, str]:
    """Of the table: seconds are medians over the steps but the first of each process, whose kernels are compiled."""
    with (run_dir / "metrics.jsonl").open() as file:
        records = {record["step"]: record["data"] for record in map(json.loads, file)}
    warm = [records[step] for step in records if step not in (1, KILLED_AFTER + 1)]
    estimates = re.findall(
        r"^(update|rollout) +([\d.]+ [GM]iB):", (run_dir / "preflight.txt").read_text(), re.MULTILINE
    )

    def median(name: str) -> str:
        return f"{statistics.median(data[name] for data in warm):.4g}"

    return {
        "machine": machine(),
        "method": method,
        "killed_run": ended,
        "steps": str(len(records)),
        "old_log_prob_s": median("timing_s/old_log_prob"),
        "step_s": median("timing_s/step"),
        "allocated_GiB": f"{max(data['actor/perf/max_memory_allocated_gb'] for data in records.values()):.2f}",
        "estimated": ", ".join(f"{phase} {size}" for phase, size in estimates),
        "ppo_kl": f"{max(abs(data['actor/ppo_kl']) for data in records.values()):.2g}",
    }


def machine() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method")
    parser.add_argument("--kill", action="store_true", help="an actor in the midst, and start the run again")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        command = arguments(args.method, args.device, run_dir, save_freq=1 if args.kill else -1)
        ended = ""
        if args.kill:
            run = start(command, args.device)
            ended = kill_an_actor(run, run_dir / f"checkpoints/global_step_{KILLED_AFTER}")
            if not ended.startswith("status 1 "):
                print(f"the killed run: {ended}")
                return 1
        if status := start(command, args.device).wait():
            return status
        found = row(args.method, run_dir, ended)
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found))
        writer.writeheader()
        writer.writerow(found)
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
