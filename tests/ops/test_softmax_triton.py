"""The Triton kernels without a GPU: the cases of test_token_pass.py under the interpreter, and compiles for GPUs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def test_cases_pass_under_the_interpreter():
    """In a process of its own: Triton looks at TRITON_INTERPRET when it is imported."""
    variants = Path(__file__).parents[1] / "benchmarks" / "test_token_pass_variants.py"
    cases = [str(Path(__file__).with_name("test_token_pass.py")), str(variants)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "triton", "-p", "no:cacheprovider", *cases],
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-5000:]
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) > 40 and "skipped" not in run.stdout.splitlines()[-1]


def compiled(kernel, block_V: int, has_bias: bool, capability: int):
    """As a run specialises it: V, like every pointer, is a multiple of 16 (151,936 is)."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from g2rl.ops import softmax_triton

    types = {"token_ids_ptr": "*i64", "row_starts_ptr": "*i64", "bias_ptr": "*bf16", "V": "i32"}
    values = {"HAS_BIAS": has_bias, "BLOCK_T": softmax_triton.POOL_BLOCK_T, "BLOCK_V": block_V}
    constants = {name: values[name] for name in kernel.arg_names if name in values}
    signature = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in kernel.arg_names}
    variables = [place for place, name in enumerate(kernel.arg_names) if name not in constants]
    aligned = {(place,): [["tt.divisibility", 16]] for place in variables}
    source = ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32))


@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")  # Triton's own note about its next release
@pytest.mark.skipif(INTERPRETED, reason="the interpreter does not compile")
@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize("has_bias", [False, True])
def test_kernels_compile_for_gpus_without_spills_and_with_wide_loads(has_bias, capability, tmp_path):
    """Ampere, Hopper, Blackwell. ptxas of Triton's wheel, whose resource usage is read from the binary."""
    from triton.backends import nvidia

    from g2rl.ops import softmax_triton

    cuobjdump = Path(nvidia.__file__).with_name("bin") / "cuobjdump"
    for kernel, block_V in (
        (softmax_triton._statistics_kernel, softmax_triton.STATISTICS_BLOCK_V),
        (softmax_triton._pool_kernel, softmax_triton.POOL_BLOCK_V),
    ):
        binary = compiled(kernel, block_V, has_bias, capability)
        (tmp_path / "kernel.cubin").write_bytes(binary.asm["cubin"])
        command = [cuobjdump, "--dump-resource-usage", tmp_path / "kernel.cubin"]
        used = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        registers, stack, local = (int(re.search(rf"{name}:(\d+)", used)[1]) for name in ("REG", "STACK", "LOCAL"))
        # 128 registers leave room for 512 threads on a multiprocessor.
        assert registers <= 128 and stack == 0 and local == 0, used
        # The logits, by far the most that is read, come 16 bytes at a time.
        assert re.search(r"ld\.global\S*\.v4\.b32", binary.asm["ptx"]), kernel.__name__
