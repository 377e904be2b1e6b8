"""What libraries raise, in their own words, and the sentence that a user reads."""

import pytest
from ray.exceptions import RayTaskError
from torch import OutOfMemoryError

from recipe.g2rl.errors.one_line import ProcessLost, in_one_line

CUDA_TAIL = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable "
    "device-side assertions.\n"
)
PYDANTIC_TAIL = (
    "input_type=ArgsKwargs]\n    For further information visit https://errors.pydantic.dev/2.12/v/value_error"
)
NCCL = "NCCL error in: ../torch/csrc/distributed/c10d/NCCLUtils.hpp:94, "
CASES = [
    (
        OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.32 GiB. GPU 0 has a total capacity of 79.15 GiB of which 1.10 GiB "
            "is free. Process 7 has 78.04 GiB memory in use. If reserved but unallocated memory is large try setting "
            "PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for Memory "
            "Management  (https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
        ),
        ["GPU 0 with 79.15 GiB ran out of memory when 2.32 GiB more", "ppo_max_token_len_per_gpu"],
    ),
    (RuntimeError(f"CUDA error: out of memory{CUDA_TAIL}"), ["a GPU ran out of memory", "gpu_memory_utilization"]),
    (
        RuntimeError(f"CUDA error: an illegal memory access was encountered{CUDA_TAIL}"),
        ["a GPU reported: an illegal memory access was encountered", "CUDA_LAUNCH_BLOCKING=1"],
    ),
    (
        RuntimeError(f"CUDA error: no kernel image is available for execution on the device{CUDA_TAIL}"),
        ["not made for this GPU", "requirements/gpu.txt"],
    ),
    (
        RuntimeError(
            "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by "
            "downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
        ),
        ["driver is older (CUDA 11040)", "update the driver"],
    ),
    (
        RuntimeError(
            "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver "
            "from http://www.nvidia.com/Download/index.aspx"
        ),
        ["no NVIDIA driver here", "VERL_PLATFORM=cpu"],
    ),
    (
        RuntimeError(
            "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=12, OpType=ALLREDUCE, NumelIn=1, "
            "NumelOut=1, Timeout(ms)=600000) ran for 600029 milliseconds before timing out."
        ),
        ["NCCL ALLREDUCE waited 600000 ms", "another process failed or hangs"],
    ),
    (
        RuntimeError(
            f"{NCCL}unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5\n"
            "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error. \n"
            "Last error:\nError while creating shared memory segment /dev/shm/nccl-x (size 33030528), error: No space "
            "left on device (28)"
        ),
        ["/dev/shm is too small", "--shm-size"],
    ),
    (
        RuntimeError(
            f"{NCCL}remote process exited or there was a network error, NCCL version 2.27.5\nncclRemoteError: A call "
            "failed possibly due to a network error or a remote process exiting prematurely.\nLast error:\n"
            "socketProgress: Connection closed by remote peer node2<46220>"
        ),
        ["NCCL failed between the devices (ncclRemoteError)", "closed by remote peer node2", "NCCL_DEBUG=INFO"],
    ),
    (
        RuntimeError(
            f"{NCCL}invalid usage, NCCL version 2.27.5\nncclInvalidUsage: This usually reflects invalid usage of NCCL "
            "library.\nLast error:\nDuplicate GPU detected : rank 1 and rank 0 both on CUDA device 1a000"
        ),
        ["ncclInvalidUsage", "Duplicate GPU detected", "versions that differ"],
    ),
    (
        ImportError("/venv/lib/python3.12/site-packages/torch/lib/libtorch_cuda.so: undefined symbol: ncclCommResume"),
        ["NCCL library that it finds are of different versions (ncclCommResume", "LD_LIBRARY_PATH"],
    ),
    (
        RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:18023"),
        ["connected to ended (10.0.0.2)", "further up in the log"],
    ),
    (
        RuntimeError(
            "The server socket has failed to listen on any local network address. port: 29500, useIpv6: false, "
            "code: -98, name: EADDRINUSE, message: address already in use"
        ),
        ["a port that the run needs is in use"],
    ),
    (
        ValueError(
            "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the "
            "engine. See https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more details."
        ),
        ["vLLM has no memory left for its cache", "rollout.gpu_memory_utilization"],
    ),
    (
        ValueError(
            "To serve at least one request with the model's max seq len (32768), (4.5 GiB KV cache is needed, which is "
            "larger than the available KV cache memory (2.13 GiB). Based on the available memory, the estimated "
            "maximum model length is 15504. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when "
            "initializing the engine. See https://docs.vllm.ai/en/latest/configuration/conserving_memory/."
        ),
        ["2.13 GiB is too small for one sequence of 32768 tokens (4.5 GiB)", "data.max_response_length"],
    ),
    (
        ValueError(
            "Free memory on device cuda:0 (10.2/79.15 GiB) on startup is less than desired GPU memory utilization "
            "(0.9, 71.24 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."
        ),
        ["device cuda:0 has 10.2/79.15 GiB free", "gpu_memory_utilization=0.9"],
    ),
    (
        RuntimeError(
            "Insufficient space in /dev/shm: 160 MiB required, 63 MiB free. Increase /dev/shm (e.g. --shm-size or "
            "--ipc=host)."
        ),
        ["Insufficient space in /dev/shm: 160 MiB required, 63 MiB free; docker run --shm-size=16g"],
    ),
    (
        ValueError(
            "1 validation error for ModelConfig\n  Value error, The checkpoint you are trying to load has model type "
            "`qwen9` but Transformers does not recognize this architecture. This could be because of an issue with the "
            f"checkpoint. [type=value_error, input_value=ArgsKwargs((), {{'model': 'x'}}), {PYDANTIC_TAIL}"
        ),
        ["ValueError: ModelConfig: The checkpoint you are trying to load has model type `qwen9`"],
    ),
    (
        ValueError(
            "1 validation error for CacheConfig\ngpu_memory_utilization\n  Input should be less than or equal to 1 "
            "[type=less_than_equal, input_value=1.5, input_type=float]\n    For further information visit "
            "https://errors.pydantic.dev/2.12/v/less_than_equal"
        ),
        ["CacheConfig.gpu_memory_utilization: Input should be less than or equal to 1"],
    ),
    (
        ValueError("Key 'foo' is not in struct\n    full_key: actor_rollout_ref.foo\n    object_type=dict"),
        ["actor_rollout_ref.foo: Key 'foo' is not in struct"],
    ),
    (
        ValueError(
            "Could not override 'trainer.foo'.\nTo append to your config use +trainer.foo=1\nKey 'foo' is not in "
            "struct\n    full_key: trainer.foo\n    object_type=dict"
        ),
        ["trainer.foo: Could not override 'trainer.foo'."],
    ),
    (
        RuntimeError(
            "Failed to put object 00ffffffffffffff in object store because it is full. Object size is 2147483648 "
            "bytes.\nThe local object store is full of objects that are still in scope and cannot be evicted. Tip: "
            "Use the `ray memory` command to list active objects in the cluster."
        ),
        ["Ray's object store is full", "object_store_memory"],
    ),
    (
        RuntimeError(
            "Task was killed due to the node running low on memory.\nMemory on the node (IP: 10.0.0.1, ID: ab) where "
            "the task (actor ID: cd, name=WorkerDict.__init__, pid=7, memory used=9.10GB) was running was 120.10GB / "
            "125.00GB (0.9608), which exceeds the memory usage threshold of 0.95. Ray killed this worker (ID: ef) "
            "because it was the most recently scheduled task; to see more information about memory usage on this "
            "node, use `ray logs raylet.out -ip 10.0.0.1`."
        ),
        ["ran out of memory (120.10GB of 125.00GB)", "data.train_batch_size"],
    ),
    (
        Exception(
            "The current node timed out during startup. This could happen because some of the raylet failed to "
            "startup or the GCS has become overloaded."
        ),
        ["Ray did not start within 30 seconds", "RAY_ADDRESS=auto"],
    ),
    (
        ConnectionError(
            "Could not find any running Ray instance. Please specify the one to connect to by setting `--address` "
            "flag or `RAY_ADDRESS` environment variable."
        ),
        ["Ray cannot be reached", "ray_init.address=local"],
    ),
    (
        OSError("validate_socket_filename failed: AF_UNIX path length cannot exceed 107 bytes: /scratch/plasma_store"),
        ["longer than 107 bytes (/scratch/plasma_store)", "RAY_TMPDIR=/tmp"],
    ),
    (
        RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.52.0\n    Python: 3.12.3\nThis process on "
            "node 10.0.0.2 was started with:\n    Ray: 2.51.1\n    Python: 3.11.7\n"
        ),
        ["cluster runs Ray 2.52.0 with Python 3.12.3", "has Ray 2.51.1 with Python 3.11.7"],
    ),
    (
        FileNotFoundError(2, "No such file or directory", "/nowhere/.ray/auth_token"),
        ["Ray cannot write its token into HOME"],
    ),
    (OSError(28, "No space left on device"), ["the disk is full"]),
    (
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 128 vs 0"),
        ["the disk is full; make room"],
    ),
    (OSError(122, "Disk quota exceeded"), ["quota is used up"]),
    (OSError(30, "Read-only file system", "/project/run"), ["/project/run lies on a file system that cannot be"]),
    (OSError(24, "Too many open files"), ["ulimit -n 65536"]),
    (RuntimeError("can't start new thread"), ["ulimit -u", "--pids-limit"]),
    (
        RuntimeError(
            "DataLoader worker (pid 1234) is killed by signal: Bus error. It is possible that dataloader's workers are "
            "out of shared memory. Please try to raise your shared memory limit."
        ),
        ["/dev/shm is full", "--shm-size"],
    ),
    (
        ImportError(
            "FlashAttention2 has been toggled on, but it cannot be used due to the following error: the package "
            "flash_attn seems to be not installed. Please refer to the documentation of https://huggingface.co/docs/"
            "transformers/perf_infer_gpu_one#flashattention-2 to install Flash Attention 2."
        ),
        ["flash-attn is not installed", "attn_implementation=sdpa"],
    ),
    (
        ImportError(
            "/venv/lib/python3.12/site-packages/flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so: undefined symbol: "
            "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
        ),
        ["flash-attn was built for another version of torch"],
    ),
    (
        OSError(
            "You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/meta-llama"
            "/Llama-3.1-8B.\n401 Client Error. (Request ID: Root=1-2)\n\nCannot access gated repo for url ...\nAccess "
            "to model meta-llama/Llama-3.1-8B is restricted. You must have access to it and be authenticated."
        ),
        ["the model is gated", "https://huggingface.co/meta-llama/Llama-3.1-8B", "HF_TOKEN"],
    ),
    (
        OSError(
            "We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached "
            "files.\nCheck your internet connection or see how to run the library in offline mode at "
            "'https://huggingface.co/docs/transformers/installation#offline-mode'."
        ),
        ["hub cannot be reached", "actor_rollout_ref.model.path"],
    ),
    (
        Exception("Error while deserializing header: incomplete metadata, file not fully covered"),
        ["a weight file of the model is cut off"],
    ),
    (
        Exception("api_key not configured (no-tty). call wandb.login(key=[your_api_key])"),
        ["WANDB_API_KEY", "trainer.logger"],
    ),
    (AssertionError(), ["AssertionError: no message; see the traceback"]),
    (KeyError("reward"), ["KeyError: 'reward'"]),
]


@pytest.mark.parametrize(("error", "words"), CASES, ids=lambda case: str(case)[:40] if case else "")
def test_a_librarys_error_becomes_a_sentence(error, words):
    """Also where Ray has wrapped it, twice, as happens to an error in an actor that an actor waits for."""
    inner = RayTaskError("f", "Traceback ...", error)
    for wrapped in (error, inner, RayTaskError("g", "Traceback ...", inner)):
        sentence = in_one_line(wrapped)
        assert "\n" not in sentence
        for word in words:
            assert word in sentence


def test_our_own_sentence_stays_whole():
    text = "the checkpoint of step 9 could not be written to /r, where 0.0 GB are free: No space left on device"
    assert in_one_line(RuntimeError(text)) == text


@pytest.mark.parametrize(
    "last",
    [
        "Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': 1}",
        "Sync replay buffer selected terminal groups with no materializable trajectories: ['a']",
    ],
)
def test_an_error_that_points_elsewhere_is_looked_up_in_the_log(last):
    log = (
        "(vLLMHttpServer pid=7) INFO starting\n"
        '(EngineCore pid=9) ERROR 11-27 06:00:00 [core.py:936]   File "worker.py", line 1, in load\n'
        "(EngineCore pid=9) ERROR 11-27 06:00:00 [core.py:936] KeyError: 'lm_head.weight'\n"
        f"(vLLMHttpServer pid=7) RuntimeError: {last}\n"
    )
    assert in_one_line(RuntimeError(last), log) == "KeyError: 'lm_head.weight'"
    assert in_one_line(RuntimeError(last)).startswith(f"RuntimeError: {last[:30]}")
    full = log.replace("KeyError: 'lm_head.weight'", "OSError: [Errno 28] No space left on device")
    assert in_one_line(RuntimeError(last), full).startswith("the disk is full")


def test_a_server_that_is_lost_with_its_engine_says_what_the_engine_said():
    lost = ProcessLost("vLLMHttpServer, process 7 on 10.0.0.1, died (killed, crashed or out of memory)")
    assert in_one_line(lost, "ERROR 11-27 [async_llm.py:724] EngineDeadError: See stack trace (above)") == str(lost)
    prefix = "\x1b[36m(vLLMHttpServer pid=7)\x1b[0m (EngineCore pid=8) ERROR 11-27 18:55:41 [core.py:1351] "
    log = f"{prefix}Traceback (most recent call last):\n{prefix}RuntimeError: Worker failed with error 'no offset'\n"
    assert in_one_line(lost, log) == f"{lost}; vLLM's engine: RuntimeError: Worker failed with error 'no offset'"
    memory = f"{prefix}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
    assert "gpu_memory_utilization" in in_one_line(lost, memory)
    ended = "\x1b[36m(vLLMHttpServer pid=7)\x1b[0m (EngineCore pid=8) "  # by its process, where the log comes too late
    compiler = "RuntimeError: Worker failed with error 'InvalidCxxCompiler: No working C++ compiler found: 'g++'"
    assert "apt install g++" in in_one_line(lost, f"{ended}Traceback (most recent call last):\n{ended}{compiler}\n")
