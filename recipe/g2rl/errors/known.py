"""Errors of the libraries underneath whose last line does not say what to do: (regular expression, sentence).

The first that is found in the error's text counts; {0}, {1} are its groups.
"""

MEMORY = (
    "lower actor_rollout_ref.actor.ppo_max_token_len_per_gpu, actor_rollout_ref.rollout.gpu_memory_utilization or "
    "data.max_response_length"
)
VERSIONS = "install what requirements/gpu.txt (on a CPU requirements/cpu.lock) names, together"

KNOWN: list[tuple[str, str]] = [
    # Our own sentences hold the text of what is below them.
    (r"(the checkpoint of step .*)", "{0}"),
    # GPUs
    (
        r"CUDA out of memory\. Tried to allocate (\S+ \S+)\. GPU (\d+) has a total capacity of (\S+ \S+)",
        f"GPU {{1}} with {{2}} ran out of memory when {{0}} more were asked of it; {MEMORY}",
    ),
    (r"CUDA out of memory|CUDA error: out of memory", f"a GPU ran out of memory; {MEMORY}"),
    (
        r"CUDA error: (no kernel image is available[^\n]*)",
        f"this build of a CUDA library is not made for this GPU ({{0}}); {VERSIONS}",
    ),
    (
        r"CUDA error: ([^\n]*)",
        "a GPU reported: {0}; where it happened shows with CUDA_LAUNCH_BLOCKING=1 in front of the same command",
    ),
    (
        r"NVIDIA driver on your system is too old \(found version (\d+)\)",
        f"the NVIDIA driver is older (CUDA {{0}}) than this build of torch needs; update the driver, or {VERSIONS}",
    ),
    (
        r"Found no NVIDIA driver",
        "there is no NVIDIA driver here; run on a machine with GPUs, or on the CPU with VERL_PLATFORM=cpu hardware=cpu",
    ),
    # Between devices
    (
        r"collective operation timeout: WorkNCCL\(.*?OpType=(\w+).*?Timeout\(ms\)=(\d+)",
        "an NCCL {0} waited {1} ms for a rank that did not come: another process failed or hangs (its error is further "
        "up in the log), or the network between the nodes does not carry NCCL",
    ),
    (
        r"NCCL error.*Last error:\s*(.*?(?:No space left|/dev/shm).*)",
        "NCCL: {0}; /dev/shm is too small: docker run --shm-size=16g",
    ),
    (
        r"undefined symbol: (nccl\w+)",
        f"torch and the NCCL library that it finds are of different versions ({{0}} is missing); {VERSIONS}, and take "
        "other NCCL libraries out of LD_LIBRARY_PATH",
    ),
    (
        r"NCCL error.*?(ncclInvalidUsage|ncclUnhandledCudaError|ncclInternalError).*?(?:Last error:\s*([^\n]*))?\s*$",
        "NCCL failed ({0}) {1}; more GPUs a node asked than there are, or NCCL or driver versions that differ between "
        "nodes: NCCL_DEBUG=INFO in front of the same command says which",
    ),
    (
        r"NCCL error.*?(nccl\w*Error)[^\n]*(?:\nLast error:\s*([^\n]*))?",
        "NCCL failed between the devices ({0}) {1}; NCCL_DEBUG=INFO in front of the same command says more",
    ),
    (
        r"gloo.*?(Connection closed by peer|Connection reset by peer)[^\[]*\[([^\]]*)\]",
        "a process that this one was connected to ended ({1}); its own error is further up in the log",
    ),
    (
        r"EADDRINUSE|[Aa]ddress already in use",
        "a port that the run needs is in use; end the other process, or start again",
    ),
    # vLLM
    (
        r"No available memory for the cache blocks",
        "vLLM has no memory left for its cache; raise actor_rollout_ref.rollout.gpu_memory_utilization (on a CPU "
        "VLLM_CPU_KVCACHE_SPACE, in GiB)",
    ),
    (
        r"max seq len \((\d+)\), \((\S+ GiB) KV cache is needed.*?available KV cache memory \((\S+ GiB)\)",
        "vLLM's cache of {2} is too small for one sequence of {0} tokens ({1}); raise "
        "actor_rollout_ref.rollout.gpu_memory_utilization or lower data.max_response_length",
    ),
    (
        r"Free memory on device (\S+) \((\S+ GiB)\) on startup is less than desired GPU memory utilization \((\S+),",
        "device {0} has {1} free when vLLM starts, less than actor_rollout_ref.rollout.gpu_memory_utilization={2} asks "
        "for; end what else uses the GPU, or lower the setting",
    ),
    (r"(Insufficient space in /dev/shm: .*? free)", "{0}; docker run --shm-size=16g (or --ipc=host)"),
    # Ray
    (
        r"Failed to put object|ObjectStoreFull|object store because it is full",
        "Ray's object store is full; raise ray_kwargs.ray_init.object_store_memory (bytes; /dev/shm must hold it)",
    ),
    (
        r"killed due to the node running low on memory.*?was running was (\S+) / (\S+)",
        "Ray killed a process since its node ran out of memory ({0} of {1}); use a machine with more, or lower "
        "data.train_batch_size or data.max_response_length",
    ),
    (
        r"node timed out during startup",
        "Ray did not start within 30 seconds: the machine is too busy, or its disk too slow; start again when it is "
        "quieter, or start Ray by hand (ray start --head) and put RAY_ADDRESS=auto in front",
    ),
    (
        r"Could not find any running Ray instance|Failed to (?:connect to GCS|get cluster ID)",
        "Ray cannot be reached; start it (docs/cluster.md) and name it in RAY_ADDRESS, or set "
        "ray_kwargs.ray_init.address=local for a Ray of the run's own",
    ),
    (
        r"AF_UNIX path length cannot exceed (\d+) bytes: '?([^'\n]*)",
        "the path of Ray's socket is longer than {0} bytes ({1}); put RAY_TMPDIR=/tmp in front",
    ),
    (
        r"Version mismatch: .*?Ray: (\S+)\s+Python: (\S+).*?Ray: (\S+)\s+Python: (\S+)",
        "the cluster runs Ray {0} with Python {1} and this process has Ray {2} with Python {3}; install the same on "
        "every node",
    ),
    (r"\.ray/auth_token", "Ray cannot write its token into HOME; set HOME to a folder that can be written"),
    # The machine
    (
        r"No space left on device|PytorchStreamWriter failed|unexpected pos \d+ vs",
        "the disk is full; make room where run_dir, the cache or TMPDIR lie",
    ),
    (r"Disk quota exceeded", "your disk quota is used up; make room where run_dir, the cache or TMPDIR lie"),
    (
        r"Read-only file system: '?([^'\n]*)",
        "{0} lies on a file system that cannot be written; name another run_dir, HOME or TMPDIR",
    ),
    (r"Too many open files", "too many files are open; run `ulimit -n 65536` first"),
    (
        r"can't start new thread|Resource temporarily unavailable",
        "no more processes or threads may be started; raise `ulimit -u` (in docker --pids-limit)",
    ),
    (
        r"killed by signal: Bus error|out of shared memory",
        "/dev/shm is full; docker run --shm-size=16g (or --ipc=host)",
    ),
    # Packages, models, accounts
    (
        r"No working C\+\+ compiler found|Failed to find C compiler",
        "torch compiles kernels and found no C++ compiler; install one (apt install g++) on every node",
    ),
    (
        r"FlashAttention2 has been toggled on|No module named 'flash_attn|flash_attn seems to be not installed",
        "flash-attn is not installed, which the actors' attention uses on GPUs; pip install --no-build-isolation "
        "flash-attn==2.8.3, or set +actor_rollout_ref.model.override_config.attn_implementation=sdpa",
    ),
    (
        r"flash_attn\S*\.so: undefined symbol",
        "flash-attn was built for another version of torch; pip install --no-build-isolation --force-reinstall "
        "--no-deps flash-attn==2.8.3",
    ),
    (
        r"gated repo.*?(https://huggingface\.co/\S+)",
        "the model is gated; ask for access at {0} and put HF_TOKEN=... in front",
    ),
    (
        r"couldn't connect to 'https://huggingface\.co'",
        "the Hugging Face hub cannot be reached and the model is not in the local cache; name a folder in "
        "actor_rollout_ref.model.path",
    ),
    (
        r"[Ee]rror while deserializing header|MetadataIncompleteBuffer",
        "a weight file of the model is cut off; download or copy the model again",
    ),
    (
        r"api_key not configured|wandb login",
        "wandb has no key; put WANDB_API_KEY=... (or WANDB_MODE=offline) in front, or leave it out of trainer.logger",
    ),
]
