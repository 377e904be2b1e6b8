"""`bash scripts/eval.sh MODEL BENCHMARK...`: `python -m g2rl.evaluation` for verl checkpoints and for all GPUs.

A model may also be a checkpoint of verl's FSDP trainers: the folder of a run's checkpoints (its newest), one
`global_step_N`, or its `actor`. It is merged once, beside its shards.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from g2rl.evaluation.__main__ import main as evaluation
from g2rl.evaluation.__main__ import one_engine
from g2rl.evaluation.compare import labelled
from g2rl.evaluation.samples import Sample
from g2rl.evaluation.sampling import Request, Sampler, SamplingSettings, VLLMSampler, check_context
from recipe.g2rl.driver.run_dir import CONFIG_FILE
from recipe.g2rl.driver.watchdog import Watchdog
from recipe.g2rl.tools.export import actor_folder, merge, own_weights

MERGED = "merged"


def main(argv: Sequence[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments += template_arguments(arguments)
    except ValueError as error:
        sys.exit(f"error: {error}")
    with Watchdog():
        evaluation(arguments, make_sampler=make_sampler, model_folder=huggingface_folder)


def template_arguments(arguments: Sequence[str]) -> list[str]:
    """`--chat-template-kwargs` with what the run of a checkpoint was trained with, where it is not given.

    Raises:
        ValueError: the models' runs were trained with different ones.
    """
    option = "--chat-template-kwargs"
    if any(argument.startswith(option) for argument in arguments):
        return []
    found = {}
    for argument in arguments:
        _, model = labelled(argument)
        actor = None if argument.startswith("-") else actor_folder(model)
        config = actor.absolute().parents[2] / CONFIG_FILE if actor else None
        if config and config.is_file():
            data = OmegaConf.to_container(OmegaConf.load(config).data)
            assert isinstance(data, dict)
            found[str(model)] = json.dumps(data.get("apply_chat_template_kwargs") or {})
    if len(set(found.values())) > 1:
        raise ValueError(f"these were trained with different data.apply_chat_template_kwargs, {found}; give {option}.")
    return [option, next(iter(found.values()))] if found else []


def huggingface_folder(model: str) -> str:
    """A folder that transformers and vLLM load, for a verl checkpoint; any other model is returned as it is.

    The weights of a merged checkpoint are bfloat16, adapters of LoRA merged in.

    Raises:
        ValueError: the checkpoint is no FSDP checkpoint, or it cannot be merged.
    """
    actor = actor_folder(Path(model))
    if actor is None:
        return model
    if weights := own_weights(actor):
        return str(weights)
    if not (actor / MERGED).is_dir():
        print(f"merging {actor} into {actor / MERGED}")
        merge(actor, actor / MERGED)
    return str(actor / MERGED)


def make_sampler(args: argparse.Namespace, model: str, settings: SamplingSettings, max_prompt_tokens: int) -> Sampler:
    """One engine, or as many as --data-parallel says or the GPUs allow."""
    gpus = torch.cuda.device_count()
    if gpus and args.tensor_parallel > gpus:
        raise ValueError(f"--tensor-parallel {args.tensor_parallel} needs as many GPUs, and this machine has {gpus}.")
    if args.data_parallel is None:
        args.data_parallel = max(1, gpus // args.tensor_parallel)
    if gpus and (wanted := args.data_parallel * args.tensor_parallel) > gpus:
        raise ValueError(
            f"--data-parallel {args.data_parallel} x --tensor-parallel {args.tensor_parallel} needs {wanted} GPUs, and "
            f"this machine has {gpus}; lower one of them."
        )
    if args.data_parallel == 1:
        return one_engine(args, model, settings, max_prompt_tokens)
    check_context(model, max_prompt_tokens, settings.max_tokens)
    return RaySampler(
        model,
        settings,
        max_prompt_tokens=max_prompt_tokens,
        tensor_parallel=args.tensor_parallel,
        data_parallel=args.data_parallel,
    )


class RaySampler:
    """Several vLLM engines on this machine, each in a Ray actor with its own GPUs.

    A problem's samples go to one engine, which then computes the prompt once. Samples arrive as they are finished.
    """

    def __init__(
        self,
        model: str,
        settings: SamplingSettings,
        *,
        max_prompt_tokens: int,
        tensor_parallel: int,
        data_parallel: int,
    ) -> None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # the cluster is this run's own and local
        import ray

        gpus = tensor_parallel if torch.cuda.is_available() else 0
        # On a CPU every engine gets a logical slot, however few cores there are.
        ray.init(
            address="local",  # never another run's cluster
            num_cpus=None if gpus else data_parallel,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        engine = ray.remote(num_gpus=gpus, num_cpus=1)(VLLMSampler)
        self.engines: list[Any] = [
            engine.remote(model, settings, max_prompt_tokens=max_prompt_tokens, tensor_parallel=tensor_parallel)
            for _ in range(data_parallel)
        ]

    def __call__(self, requests: list[Request]) -> Iterator[list[Sample]]:
        import ray

        problems = {problem: i for i, problem in enumerate(dict.fromkeys(request.problem for request in requests))}
        shares: list[list[Request]] = [[] for _ in self.engines]
        for request in requests:
            shares[problems[request.problem] % len(shares)].append(request)
        streams: list[Any] = [
            engine.__call__.options(num_returns="streaming").remote(share)
            for engine, share in zip(self.engines, shares, strict=True)
        ]
        while streams:
            ready: list[Any] = ray.wait(streams, num_returns=1)[0]
            try:
                yield ray.get(next(ready[0]))
            except StopIteration:
                streams.remove(ready[0])

    def close(self) -> None:
        import ray

        ray.shutdown()


if __name__ == "__main__":
    main()
