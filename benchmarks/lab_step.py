"""What a step of the laboratory costs, and the same work done with padding and `generate`: seconds of CPU time.

    G2RL_MODEL_PATH=FOLDER OMP_NUM_THREADS=1 .venv/bin/python benchmarks/lab_step.py            # a minute

FOLDER is the tiny policy's, as `python -m g2rl.models --out .cache` prints it. 16 prompts x 8 responses, one core, the
untrained policy; medians. CPU time, so that another process on the machine counts little. Writes lab_step.csv.
"""

import csv
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from g2rl.lab.compose import compose_lab
from g2rl.lab.policy import hidden_states, prefill, sample, token_log_probs
from g2rl.lab.train import Laboratory
from g2rl.methods.build import build_method

REPETITIONS = 3


def median_seconds(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPETITIONS + 1):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[1:])  # the first warms up


def main() -> None:
    torch.set_num_threads(1)
    config, task = compose_lab(["exploration=g2rl"])
    lab = Laboratory(config, build_method(config.exploration), task)
    prompts, rows = lab.prompts(lab.batch(1)), torch.arange(16).repeat_interleave(8)
    end, pad = lab.tokenizer.eos_token_id, lab.tokenizer.pad_token_id
    with torch.no_grad():
        prefix = prefill(lab.model, prompts)
    generator = torch.Generator().manual_seed(0)
    drawn = sample(lab.model, prefix, rows, max_tokens=64, temperature=1.0, end_ids=[end], generator=generator)
    ids = lab.tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
    whole = [prompts[i] + row.tolist() for i, row in zip(rows.tolist(), drawn.split(drawn.tokens), strict=True)]
    padded = lab.tokenizer.pad({"input_ids": whole}, return_tensors="pt")

    def ours_sample() -> None:
        with torch.no_grad():
            found = prefill(lab.model, prompts)
        sample(lab.model, found, rows, max_tokens=64, temperature=1.0, end_ids=[end], generator=generator)

    def plain_sample() -> None:
        lab.model.generate(
            **ids, do_sample=True, top_k=0, top_p=1.0, num_return_sequences=8, max_new_tokens=64, pad_token_id=pad
        )

    def ours_pass(gradient: bool) -> None:
        with torch.set_grad_enabled(gradient):
            hidden = hidden_states(lab.model, prefill(lab.model, prompts), drawn)
            loss = token_log_probs(lab.model, hidden, drawn.tokens, 1.0)[0].mean()
        if gradient:
            loss.backward()

    def plain_pass(gradient: bool) -> None:
        with torch.set_grad_enabled(gradient):
            logits = lab.model(**padded, use_cache=False).logits[:, :-1]
            loss = logits.log_softmax(-1).gather(-1, padded["input_ids"][:, 1:, None]).mean()
        if gradient:
            loss.backward()

    parts: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "sampling": (ours_sample, plain_sample),
        "pass without gradient": (lambda: ours_pass(False), lambda: plain_pass(False)),
        "pass with gradient": (lambda: ours_pass(True), lambda: plain_pass(True)),
    }
    lines: list[list[str]] = [["part", "laboratory_s", "plain_s", "ratio"]]
    for name, (ours, plain) in parts.items():
        one, other = median_seconds(ours), median_seconds(plain)
        lines.append([name, f"{one:.3f}", f"{other:.3f}", f"{one / other:.2f}"])
    step = iter(range(1, 100))
    lines.append(["a whole step of g2rl", f"{median_seconds(lambda: lab.step(next(step))):.3f}", "", ""])
    lines.append(["a validation, 64 problems x 32", f"{median_seconds(lambda: lab.validate(0)):.3f}", "", ""])
    with open(Path(__file__).with_suffix(".csv"), "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    print(*(",".join(line) for line in lines), sep="\n")


if __name__ == "__main__":
    main()
