"""What does the gradient feature cost in the log-prob pass, and how does the pass compare with others?

    python benchmarks/token_pass.py            CUDA: heads of Qwen3-0.6B, 1.7B and 4B in bfloat16, 2k to 64k tokens
    python benchmarks/token_pass.py --small    CPU: Qwen3-0.6B's head in float32, 2,048 tokens

Needs torch (and Triton on CUDA); run it from the repository with `PYTHONPATH=.` where the package is not installed.
verl's and Liger's kernels take part where they can be imported; all variants run forward only and without autograd.

Columns: `processor_ms` is the least processor time of a run (CPU only), `x_plain` the best time over that of the pass
without the feature, `floor_share` the best time of the LM head's product alone (no softmax, the result dropped chunk by
chunk, in the fastest chunks) over the variant's, `TFLOP_s` that product's operations over the variant's best time,
`peak_MB` what the variant needs on top of its inputs. Variants run in turns; the best of the turns is the one that
others disturbed least.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from token_pass_measure import HIDDEN, VOCABULARY, compare, report
from token_pass_variants import variants as other_ways

from g2rl.features import gradient_features
from g2rl.ops import token_pass

SEQUENCES = 8
FLOOR, CHUNKS = "LM head's product alone", (512, 1024, 4096, 16384)


def lm_head_product(hidden, weight, chunk_size):
    out = torch.empty(min(chunk_size, len(hidden)), len(weight), dtype=hidden.dtype, device=hidden.device)
    for part in hidden.split(chunk_size):
        torch.mm(part, weight.t(), out=out[: len(part)])


def materialised(hidden, weight, token_ids, sequence_ids):
    """What the formulas say, word for word: all logits, then p @ W for every token."""
    logits = (hidden @ weight.t()).float()
    log_p = torch.log_softmax(logits, -1)
    p = log_p.exp()
    entropy = -(p * log_p).sum(-1)
    phi = weight[token_ids].float() - (p.to(weight.dtype) @ weight).float()
    features = torch.zeros(SEQUENCES, hidden.shape[1], device=hidden.device).index_add_(0, sequence_ids, phi)
    return log_p.gather(1, token_ids[:, None]), entropy, features


def others(hidden, weight, token_ids, device: str) -> dict[str, Callable[[], object]]:
    """Log-probability and entropy by verl's and Liger's kernels, as far as they are installed and run here."""
    found: dict[str, Callable[[], object]] = {}
    try:
        from verl.utils.experimental.torch_functional import FusedLinearForPPO
    except ImportError as error:
        print(f"verl's and Liger's kernels are left out: {error}")
        return found
    fused = FusedLinearForPPO()
    found["verl, fused torch"] = lambda: fused(hidden, weight, token_ids)
    if device == "cpu":
        print("verl's Triton kernel and Liger's are left out: they need CUDA")
        return found
    from verl.utils.kernel.linear_cross_entropy import linear_cross_entropy

    found["verl, Triton"] = lambda: linear_cross_entropy(hidden, weight, token_ids, 1.0, "none")
    try:
        from liger_kernel.ops import LigerFusedLinearScaledCrossEntropyFunction  # noqa: F401
    except ImportError as error:
        print(f"Liger's kernel is left out: {error}")
    else:
        liger = FusedLinearForPPO(impl_backend="liger")
        found["Liger, through verl"] = lambda: liger(hidden, weight, token_ids)
    return found


@torch.no_grad()
def measure(model: str, tokens: int, device: str, dtype: torch.dtype, repeats: int, with_variants: bool) -> list[dict]:
    H = HIDDEN[model]
    generator = torch.Generator(device).manual_seed(0)
    hidden = torch.randn(tokens, H, generator=generator, device=device).to(dtype)
    weight = (0.05 * torch.randn(VOCABULARY, H, generator=generator, device=device)).to(dtype)
    token_ids = torch.randint(VOCABULARY, (tokens,), generator=generator, device=device)
    sequence_ids = torch.arange(tokens, device=device) * SEQUENCES // tokens
    variants: dict[str, Callable[[], object]] = {
        **{f"{FLOOR}, {n} at a time": partial(lm_head_product, hidden, weight, n) for n in CHUNKS if n <= tokens},
        "pass without feature": lambda: token_pass(hidden, weight, token_ids, with_features=False),
        "pass with feature": lambda: gradient_features(hidden, weight, token_ids, sequence_ids, SEQUENCES),
    }
    if with_variants:
        tensors = {"hidden_TH": hidden, "weight_VH": weight, "token_ids_T": token_ids, "sequence_ids_T": sequence_ids}
        variants |= other_ways(device, num_sequences=SEQUENCES, **tensors)
    else:
        variants |= others(hidden, weight, token_ids, device)
        variants["materialised, token-wise feature"] = lambda: materialised(hidden, weight, token_ids, sequence_ids)
    results = compare(variants, repeats, device)
    plain = results["pass without feature"]["best_ms"]
    floor = min(result["best_ms"] for name, result in results.items() if name.startswith(FLOOR) and result)
    rows = []
    for name, result in results.items():
        row = {"model": model, "tokens": tokens, "dtype": str(dtype).removeprefix("torch."), "variant": name}
        if result:
            best = result["best_ms"]
            row |= result | {"x_plain": round(best / plain, 3), "floor_share": round(floor / best, 3)}
            row |= {"TFLOP_s": round(2e-9 * tokens * H * VOCABULARY / best, 3)}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="one shape, on the CPU, in float32")
    parser.add_argument("--models", nargs="+", choices=HIDDEN, default=list(HIDDEN))
    parser.add_argument("--tokens", nargs="+", type=int, default=[2048, 8192, 16384, 65536])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--variants", action="store_true", help="other ways through the pass instead of other kernels")
    parser.add_argument("--out", type=Path, help="the CSV; by default beside this file")
    args = parser.parse_args()
    if not args.small and not torch.cuda.is_available():
        parser.error("this machine has no CUDA device; --small runs on the CPU.")
    device, dtype = ("cpu", torch.float32) if args.small else ("cuda", torch.bfloat16)
    shapes = [("Qwen3-0.6B", 2048)] if args.small else [(m, t) for m in args.models for t in args.tokens]
    rows = [
        row for model, tokens in shapes for row in measure(model, tokens, device, dtype, args.repeats, args.variants)
    ]
    report(rows, args.out or Path(__file__).with_name(f"token_pass_{device}.csv"), device)


if __name__ == "__main__":
    main()
