"""How exact are the features, with the head of Qwen3-0.6B, against autograd in float64?

    python benchmarks/token_pass_accuracy.py [--device cuda]

Eight sequences of eight tokens, half of them the likeliest token. `error` counts relative to the feature's norm plus
the mean norm of the head's rows, `relative` to the feature's norm alone, `cosine` is the largest deviation of a
pairwise cosine. The oracle differentiates the log-probability with respect to the hidden states and sees the same
(rounded) inputs: what is measured is the pass and not the rounding of the model. `largest_logit` counts after the
temperature.
"""

import argparse
from pathlib import Path

import torch
from token_pass_measure import HIDDEN, VOCABULARY, report

from g2rl.features import gradient_features

SEQUENCES, LENGTH = 8, 8


def oracle(hidden, weight, token_ids, temperature):
    hidden = hidden.double().requires_grad_()
    log_p = torch.log_softmax(hidden @ weight.double().T / temperature, -1)
    (gradient,) = torch.autograd.grad(log_p.gather(1, token_ids[:, None]).sum(), hidden)
    return temperature * gradient.view(SEQUENCES, LENGTH, -1).mean(1)


def pairwise(features):
    unit = torch.nn.functional.normalize(features, dim=-1)
    return unit @ unit.T


def measure(dtype: torch.dtype, largest: float, temperature: float, device: str) -> dict:
    H, T = HIDDEN["Qwen3-0.6B"], SEQUENCES * LENGTH
    generator = torch.Generator(device).manual_seed(0)
    weight = (0.05 * torch.randn(VOCABULARY, H, generator=generator, device=device)).to(dtype)
    hidden = torch.randn(T, H, generator=generator, device=device)
    logits = hidden @ weight.float().T
    hidden = (hidden * (largest * temperature / logits.abs().amax(-1, keepdim=True))).to(dtype)
    token_ids = torch.randint(VOCABULARY, (T,), generator=generator, device=device)
    token_ids[::2] = logits.argmax(-1)[::2]
    sequence_ids = torch.arange(T, device=device) // LENGTH
    features = gradient_features(
        hidden, weight, token_ids, sequence_ids, SEQUENCES, temperature=temperature
    ).features.double()
    expected = oracle(hidden, weight, token_ids, temperature)
    difference, norm = (features - expected).norm(dim=-1), expected.norm(dim=-1)
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "largest_logit": largest,
        "temperature": temperature,
        "error": f"{float((difference / (norm + weight.double().norm(dim=-1).mean())).max()):.1e}",
        "relative": f"{float((difference / norm).max()):.1e}",
        "cosine": f"{float((pairwise(features) - pairwise(expected)).abs().max()):.1e}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", type=Path, help="the CSV; by default beside this file")
    args = parser.parse_args()
    rows = [
        measure(dtype, largest, temperature, args.device)
        for dtype in (torch.float32, torch.bfloat16)
        for largest, temperature in ((5.0, 1.0), (25.0, 1.0), (49.0, 1.0), (100.0, 1.0), (1e4, 1.0), (100.0, 0.01))
    ]
    path = args.out or Path(__file__).with_name(f"token_pass_accuracy_{args.device}.csv")
    report(rows, path, args.device)


if __name__ == "__main__":
    main()
