"""The parts of check_gpu, most valuable first."""

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


def plan(device: str) -> list[Part]:
    benchmark, quick = "benchmarks/token_pass.py", ["--repeats", "5"]
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
    parts = [
        Part("device and versions", 60, ["-c", VERSIONS]),
        Part("kernels against autograd", 120, [*tests, "tests/ops"], needs=("torch", "triton", "pytest")),
        Part("pass, one shape", 90, one, has_table=True),
        Part("variants", 120, variants, has_table=True),
        Part("accuracy", 60, accuracy, has_table=True),
    ]
    if device == "cuda":
        parts.append(Part("pass, all shapes", 240, everything, has_table=True))
    return [*parts, Part("growth", 120, growth, has_table=True)]
