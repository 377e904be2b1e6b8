"""The Triton kernels without a GPU: the cases of test_token_pass.py under the interpreter, and a compile for Hopper."""

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
    cases = Path(__file__).with_name("test_token_pass.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "triton", "-p", "no:cacheprovider", str(cases)],
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-5000:]
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) > 40 and "skipped" not in run.stdout.splitlines()[-1]


@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")  # Triton's own note about its next release
@pytest.mark.skipif(INTERPRETED, reason="the interpreter does not compile")
@pytest.mark.parametrize("has_bias", [False, True])
def test_kernels_compile_for_hopper(has_bias):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from g2rl.ops import softmax_triton

    types = {"token_ids_ptr": "*i64", "row_starts_ptr": "*i64", "bias_ptr": "*bf16", "V": "i32"}
    values = {"HAS_BIAS": has_bias, "BLOCK_T": softmax_triton.POOL_BLOCK_T}
    for kernel, block_V in (
        (softmax_triton._statistics_kernel, softmax_triton.STATISTICS_BLOCK_V),
        (softmax_triton._pool_kernel, softmax_triton.POOL_BLOCK_V),
    ):
        constants = {k: v for k, v in (values | {"BLOCK_V": block_V}).items() if k in kernel.arg_names}
        signature = {k: "constexpr" if k in constants else types.get(k, "*fp32") for k in kernel.arg_names}
        compiled = triton.compile(ASTSource(kernel, signature, constants), target=GPUTarget("cuda", 90, 32))
        assert compiled.asm["cubin"]
