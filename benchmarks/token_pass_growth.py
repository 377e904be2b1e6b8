"""How do time and memory of the pass grow with tokens, vocabulary, chunk size and number of sequences?

    python benchmarks/token_pass_growth.py            CUDA: Qwen3-4B's head in bfloat16
    python benchmarks/token_pass_growth.py --small    CPU: Qwen3-0.6B's head in float32

One setting varies at a time. Claims: time is linear in tokens and vocabulary; peak memory (on top of the inputs) goes
with chunk size × vocabulary and min(sequences, chunk size) × vocabulary and does not grow with the tokens.
`logits_MB` is what the logits of all tokens would take in float32.
"""

import argparse
from pathlib import Path

import torch
from token_pass_measure import HIDDEN, VOCABULARY, compare, report

from g2rl.ops import token_pass


def measure(varied: str, T: int, V: int, chunk_size: int, S: int, H: int, device: str, repeats: int) -> dict:
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    generator = torch.Generator(device).manual_seed(0)
    hidden = torch.randn(T, H, generator=generator, device=device).to(dtype)
    weight = (0.05 * torch.randn(V, H, generator=generator, device=device)).to(dtype)
    token_ids = torch.randint(V, (T,), generator=generator, device=device)
    sequence_ids = torch.arange(T, device=device) * S // T
    results = compare(
        {
            "plain": lambda: token_pass(hidden, weight, token_ids, chunk_size=chunk_size, with_features=False),
            "feature": lambda: token_pass(hidden, weight, token_ids, sequence_ids, S, chunk_size=chunk_size),
        },
        repeats,
        device,
    )
    plain, feature = results["plain"], results["feature"]
    return {
        "varied": varied,
        "tokens": T,
        "vocabulary": V,
        "chunk_size": chunk_size,
        "sequences": S,
        "plain_ms": plain["best_ms"],
        "feature_ms": feature["best_ms"],
        "ratio": round(feature["best_ms"] / plain["best_ms"], 3),
        "plain_peak_MB": plain["peak_MB"],
        "feature_peak_MB": feature["peak_MB"],
        "logits_MB": round(T * V * 4 / 2**20),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="on the CPU, in float32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="the CSV; by default beside this file")
    args = parser.parse_args()
    if not args.small and not torch.cuda.is_available():
        parser.error("this machine has no CUDA device; --small runs on the CPU.")
    device, H = ("cpu", HIDDEN["Qwen3-0.6B"]) if args.small else ("cuda", HIDDEN["Qwen3-4B"])
    T, chunk_size = (1024, 256) if args.small else (16384, 1024)
    base = {"T": T, "V": VOCABULARY, "chunk_size": chunk_size, "S": 8}
    settings = [("tokens", {"T": T * k // 4}) for k in (2, 4, 8, 16)]
    settings += [("vocabulary", {"V": VOCABULARY * k // 8}) for k in (1, 2, 4, 8)]
    settings += [("chunk_size", {"chunk_size": chunk_size * k // 4}) for k in (1, 2, 4)]
    settings += [("sequences", {"S": S}) for S in (1, 8, 64, T // 2)]
    rows = [measure(varied, **base | change, H=H, device=device, repeats=args.repeats) for varied, change in settings]
    report(rows, args.out or Path(__file__).with_name(f"token_pass_growth_{device}.csv"), device)


if __name__ == "__main__":
    main()
