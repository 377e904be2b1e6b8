"""GPU hours of a plan, lines `KIND MODEL OUTPUT` on stdin, estimated: `DRY_RUN=1 bash scripts/reproduce_paper.sh`.

Arithmetic, and no measurement. The product's rate and the memory's are those of docs/performance.md (H200); how much of
them a run reaches, and how long responses are, is assumed: no paper states it. Sampling is bound by memory: each token
of the longest response, which is taken to run to the limit, reads the weights, and each token its sequence's cache.
"""

import argparse
import sys
from typing import NamedTuple

PRODUCT_FLOPS, MEMORY_BYTES = 790e12, 4e12  # a second, of one GPU
PRODUCT_SHARE, MEMORY_SHARE = 0.4, 0.6  # reached
PROMPT, RESPONSE = 200, 2000  # mean tokens
STEPS, SEQUENCES = 200, 256
VALIDATIONS, VALIDATION = 11, 500 * 4  # samples of MATH500
# Of each token: log-prob pass and reference 2 each, update 6 and 2 more for gradient checkpointing.
PASSES = 12
REST_S = 10.0  # of a step: weights to vLLM, verification, memory given back and taken
START_S = 300.0  # of a process that loads a model
AT_ONCE = 1024  # sequences of one vLLM engine
SAMPLES = {"mathematics": (500 + 83 + 30 + 30) * 16, "gpqa": 198 * 32, "mmlu_pro": 12_032, "geometry": 4 * 30 * 8}


class Model(NamedTuple):
    parameters: float
    cache_bytes: int  # keys and values of a token: 2 x layers x heads x head size x bfloat16
    limit: int  # tokens of a response


MODELS = {
    "qwen3_1_7b": Model(1.72e9, 2 * 28 * 8 * 128 * 2, 8192),
    "qwen3_4b": Model(4.02e9, 2 * 36 * 8 * 128 * 2, 12_288),
}


def sampling_s(model: Model, samples: int, gpus: int) -> float:
    """Seconds of `gpus` engines, each with its share of the samples."""
    share = -(-samples // gpus)
    rounds = -(-share // AT_ONCE)
    of_weights = rounds * model.limit * 2 * model.parameters
    of_cache = share * RESPONSE * (PROMPT + RESPONSE / 2) * model.cache_bytes
    return (of_weights + of_cache) / (MEMORY_SHARE * MEMORY_BYTES)


def hours(kind: str, model: Model, gpus: int) -> float:
    """GPU hours of one line of the plan."""
    if kind == "train":
        tokens = SEQUENCES * (PROMPT + RESPONSE)
        computing = tokens * PASSES * model.parameters / (PRODUCT_SHARE * PRODUCT_FLOPS * gpus)
        seconds = STEPS * (sampling_s(model, SEQUENCES, gpus) + computing + REST_S)
        seconds += VALIDATIONS * sampling_s(model, VALIDATION, gpus)
    else:
        seconds = sampling_s(model, SAMPLES[kind], gpus)
    return gpus * (START_S + seconds) / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpus", type=int, default=8)
    gpus = parser.parse_args().gpus
    total = 0.0
    for line in sys.stdin:
        kind, name, output = line.split(maxsplit=2)
        needed = hours(kind, MODELS[name], gpus) if name in MODELS else 0.0
        total += needed
        print(f"{kind:12} {needed:7.1f} GPU hours   {output.strip()}")
    print(
        f"{'all':12} {total:7.0f} GPU hours, {total / gpus:.0f} hours on {gpus}: an estimate for H200s by arithmetic "
        f"(benchmarks/gpu_hours.py, docs/performance.md), with responses of {RESPONSE:,} tokens; nothing was measured"
    )


if __name__ == "__main__":
    main()
