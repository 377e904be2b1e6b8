"""scripts/cluster: the manifest against its schemas, the batch file's signals, one set of settings for all."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from g2rl.data.rows import make_row, write_rows

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "scripts/cluster"
SCHEMA = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text())


def bash(script: Path | str, *arguments: str, **environment: str) -> str:
    run = subprocess.run(
        ["bash", script, *arguments], env=os.environ | environment, cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("nodes", ["1", "2", "16"])
def test_the_rayjob_fits_kuberays_and_kubernetes_schemas(nodes):
    overrides = ["trainer.logger=[console,wandb]", "+data.note=a b", "trainer.experiment_name='x'"]
    settings = {"NODES": nodes, "GPUS_PER_NODE": "4", "SHARED": "/mnt/all", "MAX_RESTARTS": "5"}
    job = yaml.safe_load(bash(CLUSTER / "rayjob.sh", *overrides, **settings))
    jsonschema.validate(job, SCHEMA)
    spec = job["spec"]
    head, workers = spec["rayClusterSpec"]["headGroupSpec"], spec["rayClusterSpec"]["workerGroupSpecs"][0]
    for group in (head, workers):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}, "spec": group["template"]["spec"]}
        kubernetes_validate.validate(pod, "1.33", strict=True)
        container = pod["spec"]["containers"][0]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == group["rayStartParams"]["num-gpus"] == "4"
        assert {"name": "shared", "mountPath": "/mnt/all"} in container["volumeMounts"]
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"] == int(nodes) - 1
    command = shlex.split(spec["entrypoint"])
    assert command[-3:] == overrides
    assert f"trainer.nnodes={nodes}" in command and "run_dir=/mnt/all/run_g2rl_qwen3_4b" in command
    assert "MAX_RESTARTS=5" in command and "/g2rl/scripts/run_g2rl_qwen3_4b.sh" in command


@pytest.mark.parametrize(
    "change",
    [
        lambda job: job["spec"].update(backofflimit=1),
        lambda job: job["spec"].update(entrypoint=["bash"]),
        lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].update({"num-gpus": 8}),
    ],
)
def test_the_schema_refuses_what_kuberay_would(change):
    job = yaml.safe_load(bash(CLUSTER / "rayjob.sh"))
    change(job)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, SCHEMA)


def test_every_way_trains_with_the_same_command(tmp_path):
    """What reaches the run script by hand, by `ray job submit` and by Slurm, with stand-ins for what submits."""
    for name in ("ray", "python3"):
        (tmp_path / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NODES": "3", "SHARED": str(tmp_path), "SCRIPT": "x.sh"}
    project = tmp_path / "project"
    project.mkdir()
    (project / "scripts").symlink_to(ROOT / "scripts")
    submitted = bash(CLUSTER / "ray_job.sh", "exploration.scale=0.1", **environment).splitlines()
    train = ["bash", f"{ROOT}/scripts/x.sh", "hardware=cluster", "trainer.nnodes=3", "trainer.n_gpus_per_node=8"]
    train += [f"run_dir={tmp_path}/x", "exploration.scale=0.1"]
    assert submitted[-len(train) :] == train
    assert submitted[:4] == ["job", "submit", "--address", "http://127.0.0.1:8265"]


@pytest.mark.slow
def test_the_training_command_is_accepted_by_us_and_by_verl(tmp_path, model_folder):
    rows = [make_row("math", "1 + 1?", "2", index=i, split="train", system_prompt=None) for i in range(512)]
    for name in ("math", "math500"):
        write_rows(rows, tmp_path / f"{name}.parquet")
    environment = {name: value for name, value in os.environ.items() if name != "VERL_PLATFORM"}
    environment |= {"DRY_RUN": "1", "PYTHON": sys.executable, "NODES": "4", "G2RL_DATA_PATH": str(tmp_path)}
    environment |= {"SHARED": str(tmp_path), "G2RL_MODEL_PATH": str(model_folder)}
    run = subprocess.run(
        ["bash", CLUSTER / "train.sh", "exploration.form=prose", "actor_rollout_ref.actor.ppo_mini_batch_size=2"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    settings, _, _ = run.stdout[run.stdout.index("actor_rollout_ref:") :].rpartition(
        "\n\n"
    )  # behind it, what was checked
    config = yaml.safe_load(settings)
    assert (config["trainer"]["nnodes"], config["trainer"]["n_gpus_per_node"]) == (4, 8)
    assert config["ray_kwargs"]["ray_init"]["address"] == "auto"
    assert config["trainer"]["default_local_dir"] == f"{tmp_path}/run_g2rl_qwen3_4b/checkpoints"
    assert config["exploration"]["form"] == "prose"


# A stand-in for Slurm: its commands, run at once on this machine. The batch file, its traps and `wait` are real.
SLURM = {
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "scontrol": '[ "$1" = show ] && echo here && exit; echo "$@" >>"$SEEN"',
    "ray": '[ "$1" = health-check ] && exit; trap "exit 0" TERM; echo "ray $*" >>"$SEEN"; sleep 60 & wait',
}
DRIVER = """#!/usr/bin/env bash
echo "driver $*" >>"$SEEN"
trap 'sleep 1; echo saved >>"$SEEN"; exit 143' TERM
[[ -n ${FAILS:-} ]] && exit 1
sleep 60 & wait
"""


def told(seen: Path) -> set[str]:
    kinds = ("driver", "--head", "--address=")
    lines = seen.read_text().splitlines() if seen.exists() else []
    return {kind for kind in kinds for line in lines if kind in line}


@pytest.mark.parametrize(
    ("sent", "fails", "status", "requeued"),
    [
        (signal.SIGUSR1, "", 143, True),  # the time limit is near
        (signal.SIGTERM, "", 143, False),  # preemption, which requeues by itself, or scancel
        (None, "yes", 1, False),
    ],
)
def test_slurm_forwards_the_end_and_requeues(tmp_path, sent, fails, status, requeued):
    for name, body in SLURM.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    project = tmp_path / "project"
    (project / "scripts").mkdir(parents=True)
    (project / "scripts/cluster").symlink_to(CLUSTER)
    (project / "scripts/common.sh").symlink_to(ROOT / "scripts/common.sh")
    (project / "scripts/driver.sh").write_text(DRIVER)
    seen = tmp_path / "seen"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SEEN": str(seen), "FAILS": fails, "SCRIPT": "driver.sh"}
    environment |= {"SLURM_SUBMIT_DIR": str(project), "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "here"}
    environment |= {"SLURM_JOB_ID": "17", "SLURM_GPUS_ON_NODE": "4"}
    job = subprocess.Popen(["bash", CLUSTER / "slurm.sbatch", "exploration.scale=0.1"], env=os.environ | environment)
    try:
        deadline = time.monotonic() + 30
        while sent and not told(seen) >= {"driver", "--head", "--address="}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        if sent:
            job.send_signal(sent)
        assert job.wait(timeout=30) == status
    finally:
        job.kill()
    lines = seen.read_text().splitlines()
    assert ("requeue 17" in lines) == requeued
    assert ("saved" in lines) == (sent is not None)
    driver = next(line for line in lines if line.startswith("driver"))
    assert driver.endswith("exploration.scale=0.1") and "trainer.nnodes=2 trainer.n_gpus_per_node=4" in driver


NODES = """
import sys, time, ray
ray.init(address=sys.argv[1], log_to_driver=False)
deadline = time.monotonic() + 90
while sum(node["Alive"] for node in ray.nodes()) < 2 and time.monotonic() < deadline:
    time.sleep(0.5)
print("NODES", [node["Resources"].get("GPU") for node in ray.nodes() if node["Alive"]])
"""


@pytest.mark.slow
def test_ray_starts_by_hand_and_wants_its_token(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RAY_PORT": port}
    environment |= {"GPUS_PER_NODE": "1", "CPUS_PER_NODE": "8", "SHARED": str(tmp_path), "HOME": str(tmp_path)}
    here = "--node-ip-address=127.0.0.1"
    script = ["bash", str(CLUSTER / "ray.sh")]
    nodes = []

    def driver(**more: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", NODES, f"127.0.0.1:{port}"]
        return subprocess.run(command, env=environment | more, capture_output=True, text=True, timeout=180)

    try:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
        nodes.append(subprocess.Popen([*script, "worker", f"127.0.0.1:{port}", here], **quiet))  # earlier than its head
        nodes.append(subprocess.Popen([*script, "head", here, "--include-dashboard=false"], **quiet))
        token = tmp_path / "ray_auth_token"
        with_token = driver(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(wait_for(token)))
        assert "NODES [1.0, 1.0]" in with_token.stdout, with_token.stderr
        assert token.stat().st_mode & 0o077 == 0
        assert driver(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="wrong" * 8).returncode != 0
    finally:
        for node in nodes:
            node.terminate()
            node.wait(timeout=60)


def wait_for(file: Path) -> Path:
    deadline = time.monotonic() + 60
    while not file.exists() or not file.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(10)  # Ray's own start
    return file
