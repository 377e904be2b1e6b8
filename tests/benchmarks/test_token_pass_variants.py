"""Every variant gives what token_pass gives; Triton's under the interpreter (tests/ops/test_softmax_triton.py)."""

import importlib
import os
import sys
from pathlib import Path

import pytest
import torch

from g2rl.ops import softmax_torch, token_pass

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
walk = importlib.import_module("token_pass_variants").walk
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.mark.parametrize("kernels", ["torch", "triton"] if INTERPRETED else ["torch"])
@pytest.mark.parametrize("variant", [{}, {"parts": 3}, {"second_stream": True}, {"parts": 2, "second_stream": True}])
@pytest.mark.parametrize("chunk_size", [7, 16, 100])
def test_a_variant_gives_what_the_pass_gives(kernels, variant, chunk_size):
    generator = torch.Generator().manual_seed(chunk_size)
    hidden, weight = torch.randn(50, 12, generator=generator), torch.randn(700, 12, generator=generator)
    token_ids = torch.randint(700, (50,), generator=generator)
    sequence_ids = torch.randint(5, (50,), generator=generator).sort().values
    module = softmax_torch if kernels == "torch" else importlib.import_module("g2rl.ops.softmax_triton")
    arguments = hidden, weight, token_ids, sequence_ids, 5
    got = walk(*arguments, chunk_size=chunk_size, softmax_and_pool=module.softmax_and_pool, **variant)
    for mine, theirs in zip(got, token_pass(*arguments), strict=False):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
