"""`python -m g2rl.evaluation MODEL BENCHMARK...`, `... geometry MODEL...`, `... --compare RUN...`.

One engine in this process. `scripts/eval.sh` takes the same arguments, reads verl checkpoints too and spreads the work
over all GPUs.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch

from g2rl.analysis.figures import plot_geometry
from g2rl.analysis.pairs import (
    PUBLISHED,
    geometry_table,
    pairs_of,
    response_features,
    summary,
    write_pairs,
)
from g2rl.data.own_columns import parse_columns
from g2rl.embedding import Embedder, check_embedding_model, default_embedding_model
from g2rl.evaluation.benchmarks import Benchmark, load_benchmark
from g2rl.evaluation.compare import (
    comparison_rows,
    decoding_differences,
    labelled,
    latex,
    load_results,
    markdown,
)
from g2rl.evaluation.run_folder import explain_sample, open_runs, sample_runs, score_run
from g2rl.evaluation.samples import read_samples
from g2rl.evaluation.sampling import Sampler, SamplingSettings, VLLMSampler
from g2rl.evaluation.scoring import versions, write_json
from g2rl.evaluation.verdicts import CodeJudge, judge_facts
from g2rl.utils.files import atomic_file
from g2rl.verify import VerifierPool, check_data_sources, verifier_table
from g2rl.verify.code import CodePool

MakeSampler = Callable[[argparse.Namespace, str, SamplingSettings, int], Sampler]
"""(arguments, model, settings, tokens of the longest prompt) -> engine."""


def one_engine(args: argparse.Namespace, model: str, settings: SamplingSettings, max_prompt_tokens: int) -> Sampler:
    if args.data_parallel not in (None, 1):
        raise ValueError("--data-parallel needs Ray: run `bash scripts/eval.sh` with the same arguments.")
    return VLLMSampler(model, settings, max_prompt_tokens=max_prompt_tokens, tensor_parallel=args.tensor_parallel)


def main(
    argv: Sequence[str] | None = None,
    *,
    make_sampler: MakeSampler = one_engine,
    model_folder: Callable[[str], str] = str,
) -> None:
    """
    Args:
        make_sampler: builds the engine.
        model_folder: turns a model argument into a Hugging Face folder or name.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {"sample": evaluate, "geometry": geometry, "--compare": compare}
    command = arguments.pop(0) if arguments and arguments[0] in commands else "sample"
    args = _parser(command).parse_args(arguments)
    args.make_sampler, args.model_folder = make_sampler, model_folder
    try:
        commands[command](args)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def evaluate(args: argparse.Namespace) -> None:
    """Sample, verify, write the results and print them beside the published ones."""
    label, path = labelled(args.model)
    out = args.out or Path("outputs/evaluation") / label
    benchmarks = [_load(name, args) for name in args.benchmarks]
    verifiers, workers = dict(args.verifier), min(16, os.cpu_count() or 1)
    sources = {p.data_source for benchmark in benchmarks for p in benchmark.problems}
    check_data_sources(sources, verifiers)
    programs = any(verifier_table(verifiers)[source] == "code" for source in sources)
    facts = judge_facts() if programs else {}  # refuses a machine that cannot confine programs, before sampling
    model, settings = args.model_folder(str(path)), _settings(args)
    runs = open_runs(model, benchmarks, settings, out)
    sample_runs(runs, model, settings, partial(args.make_sampler, args))
    engine = {"tensor_parallel": args.tensor_parallel, "data_parallel": args.data_parallel or 1}
    with ExitStack() as stack:
        pool = stack.enter_context(VerifierPool(workers))
        code = partial(CodeJudge, stack.enter_context(CodePool(workers)), facts) if programs else None
        results = [(label, score_run(run, pool, engine=engine, code=code, verifiers=verifiers)) for run in runs]
    print(markdown(*comparison_rows(results)))
    for run in runs:
        print(f"{run.folder / 'result.json'}")
    for run in runs if args.explain else ():
        print(explain_sample(run, args.explain, verifiers))


def compare(args: argparse.Namespace) -> None:
    """Print one table of all runs and the published numbers, in Markdown and in LaTeX."""
    results = load_results(args.runs)
    columns, rows = comparison_rows(results)
    differences = decoding_differences(results) or ["The runs used the same decoding settings."]
    print(markdown(columns, rows), *[f"- {line}" for line in differences], latex(columns, rows), sep="\n\n")


def geometry(args: argparse.Namespace) -> None:
    """Sample, compute each model's own gradient features, and write numbers, pictures and raw data."""
    settings = _settings(args)
    if settings.num_samples < 2:
        raise ValueError("--num-samples must be at least 2, since the geometry is about pairs of samples.")
    if settings.temperature == 0:
        raise ValueError("--temperature must be above 0: a greedy policy has no gradient feature.")
    benchmark = _load(args.benchmark, args)
    models = dict(map(labelled, args.models))
    if len(models) < len(args.models):
        raise ValueError("two models have the same label; give them as LABEL=MODEL.")
    embedding_model = args.embedding_model or default_embedding_model()
    check_embedding_model(embedding_model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    runs = {}
    for label, path in models.items():
        model = args.model_folder(str(path))
        (runs[label],) = open_runs(model, [benchmark], settings, args.out / label)
        sample_runs([runs[label]], model, settings, partial(args.make_sampler, args))
    pairs, embedder = {}, Embedder(embedding_model, device)
    for label, run in runs.items():  # when no engine holds memory any more
        samples = {sample.key: sample for sample in read_samples(run.samples_path)}
        rows = [samples[request.problem, request.sample] for request in run.requests]
        features_NH = response_features(
            run.settings["model"],
            [request.prompt_ids for request in run.requests],
            [row.response_ids for row in rows],
            settings.temperature,
            device,
        )
        with atomic_file(run.folder / "features.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                features=features_NH.numpy(),
                problem=[row.problem for row in rows],
                sample=[row.sample for row in rows],
            )
        embeddings_NE = torch.from_numpy(embedder.embed([row.response for row in rows]))
        pairs[label] = pairs_of([problem.id for problem in benchmark.problems], features_NH, embeddings_NE)
    summaries = {label: summary(of_model, seed=settings.seed) for label, of_model in pairs.items()}
    record = {"settings": asdict(settings), "benchmark": benchmark.name, "data_sha256": benchmark.sha256}
    record |= {"models": {label: str(path) for label, path in models.items()}, "embedding_model": embedding_model}
    write_json(
        record | {"versions": versions(), "geometry": summaries, "published": PUBLISHED}, args.out / "geometry.json"
    )
    write_pairs(pairs, args.out / "pairs.csv")
    plot_geometry(pairs, summaries, args.out / "geometry.png")
    print(geometry_table(summaries), *sorted(args.out.glob("*.*")), sep="\n")


def _load(name: str, args: argparse.Namespace) -> Benchmark:
    return load_benchmark(name, args.data_dir, args.columns, args.system_prompt)


def _settings(args: argparse.Namespace) -> SamplingSettings:
    return SamplingSettings(**{field.name: getattr(args, field.name) for field in fields(SamplingSettings)})


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m g2rl.evaluation{'' if command == 'sample' else ' ' + command}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if command == "--compare":
        parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of an evaluation, or LABEL=FOLDER")
        return parser
    if command == "sample":
        parser.add_argument("model", metavar="MODEL", help="folder or hub name, or LABEL=MODEL")
        parser.add_argument("benchmarks", nargs="+", metavar="BENCHMARK", help="name, or path of a file")
        parser.add_argument("--explain", metavar="PROBLEM:SAMPLE", help="say why this sample is right or wrong")
        parser.add_argument("--verifier", action="append", default=[], type=_pair, metavar="SOURCE=math|choice|code")
        parser.add_argument("--out", type=Path, help="default: outputs/evaluation/<label>")
    else:
        parser.add_argument("models", nargs="+", metavar="MODEL", help="folder or hub name, or LABEL=MODEL")
        parser.add_argument("--benchmark", default="aime25", help="name, or path of a file")
        parser.add_argument("--embedding-model", help="Hugging Face folder or name; default: all-MiniLM-L6-v2")
        parser.add_argument("--out", type=Path, default=Path("outputs/geometry"))
    defaults = SamplingSettings(num_samples=8 if command == "geometry" else 16)
    for field in fields(SamplingSettings):
        default = getattr(defaults, field.name)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where the parquet files are")
    parser.add_argument("--columns", type=parse_columns, metavar="problem=P,answer=A", help="of a file, if not by name")
    parser.add_argument("--system-prompt", help="of a file of your own problems, '' for none; default: as for training")
    parser.add_argument("--tensor-parallel", type=_positive, default=1, help="GPUs of one engine")
    parser.add_argument("--data-parallel", type=_positive, help="engines; default: as many as the GPUs allow")
    return parser


def _pair(text: str) -> tuple[str, str]:
    source, equals, verifier = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not SOURCE=math, SOURCE=choice or SOURCE=code.")
    return source, verifier


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of at least 1.")
    return int(text)


if __name__ == "__main__":
    main()
