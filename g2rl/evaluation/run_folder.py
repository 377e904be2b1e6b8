"""A run is a folder, `<out>/<benchmark>/`, and can be resumed.

It holds `settings.json`, `samples.jsonl`, `result.json`, and where answers are programs `verdicts.jsonl`.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from g2rl.evaluation.benchmarks import Benchmark
from g2rl.evaluation.samples import SampleLog, read_samples
from g2rl.evaluation.sampling import (
    Request,
    Sampler,
    SamplingSettings,
    check_language_model_head,
    requests_for,
    sample_missing,
)
from g2rl.evaluation.scoring import score, versions, write_json
from g2rl.evaluation.verdicts import CodeJudge
from g2rl.verify import VerifierPool, verifier_table
from g2rl.verify.explain import explain_response

MakeSampler = Callable[[str, SamplingSettings, int], Sampler]
"""(model, settings, tokens of the longest prompt) -> engine; called only when there is something left to sample."""

TAIL_BYTES = 1 << 20


@dataclass(frozen=True)
class Run:
    benchmark: Benchmark
    folder: Path
    settings: dict[str, Any]  # all that decides the samples
    requests: list[Request]

    @property
    def samples_path(self) -> Path:
        return self.folder / "samples.jsonl"


def open_runs(model: str, benchmarks: Sequence[Benchmark], settings: SamplingSettings, out: Path) -> list[Run]:
    """The run of each benchmark, new or begun earlier.

    Raises:
        ValueError: two benchmarks have one name, the model has no language-model head, or a folder holds samples that
            were drawn with other settings (another number of samples is welcome).
    """
    names = [benchmark.name for benchmark in benchmarks]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"two files are named {twice[0]}, which is also the name of their folder in {out}; rename one, or evaluate "
            "them one after the other with another --out."
        )
    check_language_model_head(model)
    fingerprint = model_fingerprint(model)
    runs = []
    for benchmark in benchmarks:
        record = {
            "model": model,
            "model_fingerprint": fingerprint,
            "benchmark": benchmark.name,
            "data_sha256": benchmark.sha256,
            **asdict(settings),
        }
        run = Run(benchmark, out / benchmark.name, record, requests_for(benchmark.problems, model, settings))
        _check_same_settings(run)
        runs.append(run)
    return runs


def sample_runs(runs: Sequence[Run], model: str, settings: SamplingSettings, make_sampler: MakeSampler) -> None:
    """Draw what the runs' folders do not hold yet, with one engine for all of them."""
    longest = max(len(request.prompt_ids) for run in runs for request in run.requests)
    engine: list[Sampler] = []

    def sampler() -> Sampler:
        if not engine:
            engine.append(make_sampler(model, settings, longest))
        return engine[0]

    try:
        for run in runs:
            with SampleLog(run.samples_path) as log:
                write_json(run.settings, run.folder / "settings.json")
                sample_missing(run.requests, log, sampler, run.benchmark.name)
    finally:
        if engine:
            engine[0].close()


def score_run(
    run: Run,
    pool: VerifierPool,
    *,
    engine: Mapping[str, Any],
    code: Callable[[Path], CodeJudge] | None = None,
    verifiers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Verify the samples of a finished run and write `result.json` with every setting, version and seed.

    Args:
        code: makes the judge of programs that keeps its verdicts in the given file, so that a scoring that was killed
            goes on.
    """
    settings = run.settings
    numbers = score(
        run.benchmark,
        read_samples(run.samples_path),
        num_samples=settings["num_samples"],
        seed=settings["seed"],
        pool=pool,
        code=code and code(run.folder / "verdicts.jsonl"),
        verifiers=verifiers,
    )
    result = {"settings": settings, "engine": dict(engine), "versions": versions(), **numbers}
    write_json(result, run.folder / "result.json")
    return result


def explain_sample(run: Run, key: str, verifiers: Mapping[str, str] | None = None) -> str:
    """Why the sample `PROBLEM:SAMPLE` of a finished run is right or wrong. ValueError: there is no such sample."""
    samples = {f"{sample.problem}:{sample.sample}": sample for sample in read_samples(run.samples_path)}
    if key not in samples:
        raise ValueError(
            f"--explain {key}: {run.benchmark.name} lacks this sample; the first is {next(iter(samples))}."
        )
    sample = samples[key]
    problem = next(p for p in run.benchmark.problems if p.id == sample.problem)
    verifier = verifier_table(verifiers)[problem.data_source]
    if verifier == "code":
        raise ValueError(f"--explain {key}: programs are judged by their tests; see result.json.")
    if sample.finish_reason == "length":
        return "verdict: wrong\ndecided by: the token limit cut the response off"
    return explain_response(sample.response, problem.gold, verifier=verifier, num_choices=problem.num_choices)


def model_fingerprint(model: str) -> str:
    """Commit of a hub model, or a hash over the names, sizes and last MiB of a folder's weight files.

    Training changes every weight, so two checkpoints of one run never share it.
    """
    folder = Path(model)
    if not folder.is_dir():
        return str(AutoConfig.from_pretrained(model)._commit_hash)
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*.gguf")]):
        digest.update(f"{path.name} {path.stat().st_size} ".encode())
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _check_same_settings(run: Run) -> None:
    if not run.samples_path.exists() or not run.samples_path.stat().st_size:  # a start that failed before its first
        return
    earlier = json.loads((run.folder / "settings.json").read_text())
    differing = [key for key in run.settings if key != "num_samples" and earlier.get(key) != run.settings[key]]
    if differing:
        changes = ", ".join(f"{key} {earlier.get(key)} (now {run.settings[key]})" for key in differing)
        raise ValueError(f"{run.folder} holds samples drawn with {changes}; choose another --out.")
