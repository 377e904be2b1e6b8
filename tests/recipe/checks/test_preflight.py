"""`recipe.g2rl.checks.preflight`: what it prints, what it refuses, what it warns of, what it sees of a cluster."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import ray
from transformers import BertConfig, Qwen3Config

from recipe.g2rl.checks import environment, preflight
from recipe.g2rl.checks.nodes import check_nodes

ROOT = Path(__file__).parents[3]

NVIDIA_SMI = """#!/bin/sh
for i in 0 1 2 3 4 5 6 7; do
    case $1 in *driver*) echo 575.57.08;; *) echo "$i, GPU-${{i}}b0a, {memory}";; esac
done
"""


@pytest.fixture
def a_node_of_eight(tmp_path, monkeypatch):
    """This machine answers as one with eight 80 GB GPUs and an older driver does."""
    (tmp_path / "nvidia-smi").write_text(NVIDIA_SMI.format(memory="81559"))
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, model_folder, qwen3_4b, data_file):
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(model_folder, folder / "model")
    qwen3_4b.save_pretrained(folder / "model")
    shutil.copy(data_file, folder / "train.parquet")
    return folder


def arguments(inputs, *overrides: str, hardware: str = "one_node", model: str = "qwen3_4b") -> list[str]:
    data = [f"data.{kind}_files={inputs}/train.parquet" for kind in ("train", "val")]
    choices = [f"hardware={hardware}", f"model={model}", "task=math", f"actor_rollout_ref.model.path={inputs}/model"]
    return [*choices, *data, f"run_dir={inputs}/run", *overrides]


@pytest.fixture
def of_paper(inputs, composed):
    """The paper's setting, with overrides."""
    return lambda *overrides, **hardware: composed(*arguments(inputs, *overrides, **hardware))


ACTOR, ROLLOUT, UNSAVED = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "trainer.save_freq=-1"


def test_the_papers_setting_fits_a_node(of_paper, a_node_of_eight):
    table, warnings = preflight.preflight(of_paper(UNSAVED))
    for fact in ("4,022.5M parameters", "8 with 79.6 GiB", "3,407,872 tokens", "26,624 a device", "optimizer 3.7 GiB"):
        assert fact in table
    assert not [warning for warning in warnings if "device" in warning]


@pytest.mark.parametrize("exploration", ["g2rl", "evol"])  # EVOL's embedding model takes a share beside vLLM's
def test_qwen3_1_7b_fits_one_gpu_as_configured(inputs, composed, qwen3_4b, tmp_path, exploration):
    sizes = {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16}
    shared = {name: getattr(qwen3_4b, name) for name in ("vocab_size", "num_key_value_heads", "head_dim")}
    context = {"max_position_embeddings": 32_768, "tie_word_embeddings": True}
    Qwen3Config(**sizes, **shared, **context).save_pretrained(tmp_path)
    settings = [f"exploration={exploration}", "trainer.n_gpus_per_node=1", f"actor_rollout_ref.model.path={tmp_path}"]
    settings += [f"inputs.embeddings.model={inputs}/model", UNSAVED]  # of 4B, as the default
    table, warnings = preflight.preflight(composed(*arguments(inputs, *settings, model="qwen3_1_7b")))
    assert "1,720.6M parameters" in table and "1 x 1 with 79.0 GiB" in table
    assert not [warning for warning in warnings if "run out of memory" in warning]


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["trainer.n_gpus_per_node=16"], ["set up for 16 GPUs", "has 8", "trainer.n_gpus_per_node"]),
        (["trainer.nnodes=2"], ["trainer.nnodes=2", "hardware=cluster"]),
        (["data.max_response_length=32768"], ["32,768 positions"]),
        ([f"{ACTOR}.ppo_max_token_len_per_gpu=4096"], ["ppo_max_token_len_per_gpu=4096", "at least 13312"]),
        ([f"{ROLLOUT}.log_prob_max_token_len_per_gpu=64"], ["log_prob_max_token_len_per_gpu=64", "at least 13312"]),
        (["actor_rollout_ref.ref.log_prob_max_token_len_per_gpu=64"], ["ref.log_prob_max_token_len", "13312"]),
        ([f"{ROLLOUT}.gpu_memory_utilization=0.98"], ["gpu_memory_utilization=0.98", "param_offload"]),
        ([f"{ROLLOUT}.gpu_memory_utilization=0.15"], ["for its cache", "max_model_len"]),
        ([f"{ROLLOUT}.max_model_len=8192"], ["max_model_len=8192 would cut off", "at least 13312"]),
        (["actor_rollout_ref.model.path=no-such/model"], ["actor_rollout_ref.model.path=no-such/model: "]),
        ([f"{ACTOR}.fsdp_config.fsdp_size=1"], ["come to 96.7 GiB of a device with 79.6 GiB"]),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(of_paper, a_node_of_eight, overrides, names):
    with pytest.raises(ValueError) as error:
        config = of_paper(UNSAVED, *overrides)
        preflight.check_devices(config)
        preflight.preflight(config)
    assert "\n" not in str(error.value)
    for name in names:
        assert name in str(error.value)


def test_a_state_that_does_not_fit_is_refused(of_paper):
    overrides = [UNSAVED, f"{ACTOR}.fsdp_config.fsdp_size=1", "gpu_memory_gib=40"]
    config = of_paper(*overrides, hardware="cluster")  # from a head without GPUs
    with pytest.raises(ValueError, match=r"optimizer take 59.9 GiB of a device with 40.0 GiB; .*lora_rank"):
        preflight.preflight(config)


def test_a_container_that_is_too_small_for_a_run_on_a_cpu_is_refused(of_paper, model_folder, monkeypatch):
    monkeypatch.setattr(preflight, "get_system_memory", lambda: 2**30)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    overrides = [f"actor_rollout_ref.model.path={model_folder}", "data.max_prompt_length=64"]
    config = of_paper(*overrides, hardware="cpu", model="tiny")
    with pytest.raises(ValueError, match=r"GiB, and a process may have 1.0 GiB; lower VLLM_CPU_KVCACHE_SPACE"):
        preflight.preflight(config)


def test_an_estimate_that_does_not_fit_is_a_warning(of_paper, a_node_of_eight):
    config = of_paper(UNSAVED, f"{ACTOR}.entropy_coeff=0.001", f"{ACTOR}.ppo_mini_batch_size=8")
    config.actor_rollout_ref.actor.ppo_max_token_len_per_gpu = 60_000
    _, warnings = preflight.preflight(config)
    update = next(warning for warning in warnings if warning.startswith("the update pass"))
    assert "ppo_max_token_len_per_gpu" in update and "use_fused_kernels" in update


def test_what_is_left_beside_vllm_the_driver_and_the_hosts_memory_are_looked_at(of_paper, a_node_of_eight, monkeypatch):
    monkeypatch.setattr(preflight, "get_system_memory", lambda: 64 * 2**30)
    config = of_paper(UNSAVED, f"{ROLLOUT}.gpu_memory_utilization=0.85")
    warnings = preflight.preflight(config)[1]
    for words in (
        "the rollout takes about",
        "driver is 575.57.08",
        "weights whole, 134.9 GiB with the reference model",
    ):
        assert any(words in warning for warning in warnings), words


def test_the_installations_check_tells_of_driver_and_compiler(a_node_of_eight):
    (a_node_of_eight / "nvcc").write_text("#!/bin/sh\necho 'Cuda compilation tools, release 12.9, V12.9.86'\n")
    (a_node_of_eight / "nvcc").chmod(0o755)
    run = subprocess.run(
        ["bash", "scripts/check.sh"],
        cwd=ROOT,
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in run.stdout.splitlines()]
    assert {"GPUs 8", "driver 575.57.08", "nvcc 12.9"} <= set(lines)
    for warning in ("wants driver 580", "nvcc is 12.9", "flash-attn==2.8.3 is wanted"):
        assert any(line.startswith("warning") and warning in line for line in lines), warning


def test_an_embedding_model_is_looked_at_before_ray(of_paper, qwen3_4b, a_node_of_eight, tmp_path):
    evol = ["exploration=evol", "trainer.save_freq=-1"]
    qwen3_4b.save_pretrained(tmp_path / "encoder")
    fits = [*evol, f"inputs.embeddings.model={tmp_path}/encoder"]
    assert not [w for w in preflight.preflight(of_paper(*fits))[1] if "embeddings" in w]
    with pytest.raises(ValueError, match=r"gpu_memory_utilization=0.1 is 8.0 GiB of a device.*at least 0.14"):
        preflight.preflight(of_paper(*fits, "inputs.embeddings.gpu_memory_utilization=0.1"))
    BertConfig().save_pretrained(tmp_path / "short")
    _, warnings = preflight.preflight(of_paper(*evol, f"inputs.embeddings.model={tmp_path}/short"))
    assert any("reads 512 tokens and responses have up to 12,288" in warning for warning in warnings)


def test_gpus_are_those_that_cuda_shows(a_node_of_eight, monkeypatch):
    assert environment.gpu_memory_gib() == [81559 / 1024] * 8
    for visible, count in {"2,5": 2, "GPU-3b": 1, "": 0, "-1": 0, "1,9,2": 1}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert len(environment.gpu_memory_gib()) == count
    (a_node_of_eight / "nvidia-smi").write_text(NVIDIA_SMI.format(memory="[N/A]"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert environment.gpu_memory_gib() == [psutil.virtual_memory().total / 2**30]


def test_a_disk_that_is_too_small_is_refused_or_warned_of(of_paper, a_node_of_eight, tmp_path):
    """A real small file system, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50g", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        with pytest.raises(ValueError, match=r"a checkpoint takes 45.0 GiB and .*disk has 30.0 GiB free"):
            subprocess.run(["mount", "-o", "remount,size=30g", disk], check=True)
            preflight.preflight(of_paper(f"run_dir={disk}/run"))
        subprocess.run(["mount", "-o", "remount,size=60g", disk], check=True)
        _, warnings = preflight.preflight(of_paper(f"run_dir={disk}/run"))
        assert any("3 checkpoints of 45.0 GiB" in warning for warning in warnings)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_table_is_printed_also_where_the_gpus_are_missing(inputs):
    environment = {name: value for name, value in os.environ.items() if name != "VERL_PLATFORM"}
    environment["PATH"] = "/nowhere"  # no nvidia-smi
    overrides = arguments(inputs, UNSAVED, "trainer.total_training_steps=2")
    command = [sys.executable, "-m", "recipe.g2rl.checks", *overrides]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (run.returncode, "4,022.5M parameters" in run.stdout) == (2, True), run.stderr
    assert run.stderr.startswith("error: the run is set up for 8 GPUs and this machine has 0")


def test_versions_are_those_that_the_project_requires(monkeypatch):
    assert environment.wrong_versions() == []
    monkeypatch.setattr(environment, "requires", lambda name: ["verl==0.9.0", "hydra-core>=1.3", "no-such-package"])
    assert environment.wrong_versions() == [
        "verl==0.9.0 is wanted and 0.9.1 installed",
        "no-such-package is wanted and nothing installed",
    ]


def test_verls_pins_are_read_from_verl():
    """This environment has the CPU build of torch, which is not the one that verl pins for GPUs."""
    assert any(words.startswith("torch==2.11.0 is wanted") for words in environment.unpinned_versions())


def test_the_command_prints_the_table_or_one_error(inputs, model_folder):
    command = [sys.executable, "-m", "recipe.g2rl.checks", "hardware=cpu", "model=tiny", "task=arithmetic"]
    command += [*arguments(inputs)[4:], f"actor_rollout_ref.model.path={model_folder}"]
    fine = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert fine.returncode == 0, fine.stderr
    assert "32,768 tokens at most" in fine.stdout and "checkpoint" in fine.stdout
    wrong = subprocess.run([*command, "data.max_response_length=4096"], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: ") and wrong.stderr.count("\n") == 1


# ---------------------------------------------------------------------- a cluster


@pytest.fixture(scope="module")
def cluster(inputs, tmp_path_factory):
    """Two Ray nodes on this machine; the second sees another, empty folder in the place of `inputs/hidden`."""
    (inputs / "hidden").mkdir()
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "SPT_NOENV": "1"}
    start = [Path(sys.executable).with_name("ray"), "start", "--block", "--num-cpus=8", "--num-gpus=1"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = [*start, "--head", f"--port={port}", "--include-dashboard=false", "--node-ip-address=127.0.0.1"]
    worker = [*start, f"--address=127.0.0.1:{port}", "--node-ip-address=127.0.0.1"]
    hide = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs {inputs}/hidden && exec "$@"', "sh"]
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("a node with a view of its own needs root")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    processes = [subprocess.Popen(head, **quiet)]
    try:
        wait_for(lambda: connect(f"127.0.0.1:{port}"))
        processes.append(subprocess.Popen([*hide, *worker], **quiet))
        wait_for(lambda: sum(node["Alive"] for node in ray.nodes()) == 2)
        yield
    finally:
        ray.shutdown()
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=60)


def wait_for(condition, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def connect(address: str) -> bool:
    os.environ["RAY_AUTH_MODE"] = "disabled"
    try:
        ray.init(address=address, log_to_driver=False, logging_level="CRITICAL")
    except ConnectionError:
        return False
    return True


@pytest.mark.slow
def test_nodes_of_a_cluster(inputs, of_paper, cluster):
    def on(*overrides: str):
        return of_paper("trainer.n_gpus_per_node=1", *overrides, hardware="cluster")

    said: list[str] = []
    check_nodes(on(), said.append)
    assert said == ["2 nodes for 2: same versions, and each sees the run's folder, the model and the data"]
    assert not list((inputs / "run/checkpoints").iterdir())
    with pytest.raises(ValueError, match=r"set up for 3 GPUs and Ray has 2"):
        check_nodes(on("trainer.nnodes=3"))
    with pytest.raises(ValueError, match=r"16 CPU slots are fewer than the 17"):
        check_nodes(on("transfer_queue.backend.SimpleStorage.num_data_storage_units=9"))
    with pytest.raises(ValueError, match=r"does not see .*hidden/checkpoints; put run_dir on a file system"):
        check_nodes(on(f"run_dir={inputs}/hidden"))
    (inputs / "hidden/train.parquet").write_bytes((inputs / "train.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"cannot read .*hidden/train.parquet"):
        check_nodes(on(f"data.train_files={inputs}/hidden/train.parquet"))
