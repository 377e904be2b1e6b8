"""The parts of check_gpu, most valuable first."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

VERSIONS = (
    "import platform, torch; print(platform.python_version(), torch.__version__, torch.version.cuda);"
    "print(*(torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())), sep='\\n');"
    "import triton; print('triton', triton.__version__)"
)


class Part(NamedTuple):
    name: str
    limit_s: int
    command: list[str]  # arguments of this Python
    has_table: bool = False  # the command writes a CSV to `--out`
    needs: tuple[str, ...] = ("torch", "triton")
    environment: Mapping[str, str] = MappingProxyType({})


def plan(device: str) -> list[Part]:
    """The parts for `device`, "cuda" or "cpu"; a CPU has five times as long for each."""
    benchmark, quick = "benchmarks/token_pass.py", ["--repeats", "5" if device == "cuda" else "2"]
    if device == "cpu":
        one = everything = variants = [benchmark, "--small", *quick]
        variants = [*variants, "--variants"]
        growth = ["benchmarks/token_pass_growth.py", "--small", "--repeats", "1"]
    else:
        one = [benchmark, "--models", "Qwen3-4B", "--tokens", "16384", *quick]
        variants = [*one, "--variants"]
        everything = [benchmark, *quick]
        growth = ["benchmarks/token_pass_growth.py", "--repeats", "3"]
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    accuracy = ["benchmarks/token_pass_accuracy.py", "--device", device]
    platform = {"VERL_PLATFORM": "cpu" if device == "cpu" else "nvidia"}

    def training(method: str, *options: str) -> list[str]:
        return ["benchmarks/check_gpu/training.py", method, "--device", device, *options]

    stack = ("torch", "verl", "vllm", "recipe.g2rl")
    trained = (*stack, "flash_attn") if device == "cuda" else stack
    # Where the training parts look for it. With a policy in G2RL_MODEL_PATH they do not.
    tiny = ["-m", "g2rl.models", "--out", os.environ.get("G2RL_CACHE", ".cache")]
    parts = [
        Part("device and versions", 60, ["-c", VERSIONS]),
        Part("kernels against autograd", 120, [*tests, "tests/ops"], needs=("torch", "triton", "pytest")),
        Part("pass, one shape", 90, one, has_table=True),
        Part("accuracy", 60, accuracy, has_table=True),
        Part(
            "actor's engine against autograd",
            180,
            [*tests, "-m", "not slow", "tests/recipe/test_engine_equality.py"],
            needs=("pytest", *stack),
            environment=platform,
        ),
        *([] if "G2RL_MODEL_PATH" in os.environ else [Part("the tiny policy, made", 300, tiny, needs=trained)]),
        Part("training, g2rl", 300, training("g2rl"), has_table=True, needs=trained),
        Part("training, grpo", 300, training("grpo"), has_table=True, needs=trained),
        Part("variants", 120, variants, has_table=True),
        Part("kill -9 of an actor, and on", 600, training("g2rl", "--kill"), has_table=True, needs=trained),
    ]
    if device == "cuda":
        parts.append(Part("pass, all shapes", 240, everything, has_table=True))
    parts.append(Part("growth", 120, growth, has_table=True))
    return parts if device == "cuda" else [part._replace(limit_s=5 * part.limit_s) for part in parts]
