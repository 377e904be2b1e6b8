"""Sampling with vLLM. Every (problem, sample) has its own seed, so a run that was killed ends with the same numbers."""

import gc
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from tqdm import tqdm
from transformers import AutoConfig, AutoTokenizer

from g2rl.data.reading import hub_is_off
from g2rl.end_of_turn import end_of_turn
from g2rl.evaluation.benchmarks import Problem
from g2rl.evaluation.samples import Sample, SampleLog


@dataclass(frozen=True)
class SamplingSettings:
    """All that decides which samples come out; written into every result."""

    num_samples: int = 16
    temperature: float = 0.8
    top_p: float = 1.0
    top_k: int = -1  # -1: the whole vocabulary
    max_tokens: int = 8192
    seed: int = 0
    dtype: str = "auto"  # of the weights; auto: the checkpoint's own, float32 on a CPU
    chat_template_kwargs: str = "{}"  # JSON, as {"enable_thinking": false} of Qwen3

    def __post_init__(self) -> None:
        ranges = {
            "num_samples": self.num_samples >= 1,
            "temperature": self.temperature >= 0,
            "top_p": 0 < self.top_p <= 1,
            "top_k": self.top_k == -1 or self.top_k >= 1,
            "max_tokens": self.max_tokens >= 1,
        }
        for name, fits in ranges.items():
            if not fits:
                raise ValueError(f"{name} = {getattr(self, name)} is out of range.")
        try:
            is_object = isinstance(json.loads(self.chat_template_kwargs), dict)
        except ValueError:
            is_object = False
        if not is_object:
            raise ValueError(f'chat_template_kwargs = {self.chat_template_kwargs} is no JSON object, as {{"a": true}}.')


@dataclass(frozen=True)
class Request:
    problem: str
    sample: int
    prompt_ids: list[int]
    seed: int


class Sampler(Protocol):
    """One or several engines that hold the model."""

    def __call__(self, requests: list[Request]) -> Iterator[list[Sample]]:
        """Yields samples as they are finished, in any order."""

    def close(self) -> None:
        """Free the memory of the model."""


def sample_seed(seed: int, problem: str, sample: int) -> int:
    """The seed of one sample: depends on nothing but the run's seed, the problem and the sample's number."""
    digest = hashlib.sha256(f"{seed}/{problem}/{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def requests_for(problems: Iterable[Problem], model: str, settings: SamplingSettings) -> list[Request]:
    """Every sample of every problem, prompts rendered by the model's chat template.

    Raises:
        ValueError: the model's tokenizer has no chat template.
    """
    tokenizer = AutoTokenizer.from_pretrained(model)
    if tokenizer.chat_template is None:
        raise ValueError(f"{model}: the tokenizer has no chat template, which the prompts of the benchmarks need.")
    requests, kwargs = [], json.loads(settings.chat_template_kwargs)
    for problem in problems:
        text = tokenizer.apply_chat_template(problem.messages, add_generation_prompt=True, tokenize=False, **kwargs)
        prompt_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        for sample in range(settings.num_samples):
            requests.append(Request(problem.id, sample, prompt_ids, sample_seed(settings.seed, problem.id, sample)))
    return requests


def sample_missing(requests: list[Request], log: SampleLog, make_sampler: Callable[[], Sampler], title: str) -> None:
    """Sample what the log does not hold yet, each sample on the disk as soon as it is finished."""
    missing = [request for request in requests if (request.problem, request.sample) not in log.keys]
    sampler = make_sampler() if missing else None
    done, tokens = len(requests) - len(missing), 0
    with tqdm(total=len(requests), initial=done, desc=title, unit=" samples", smoothing=0.05) as bar:
        for finished in sampler(missing) if sampler else ():
            log.append(finished)
            tokens += sum(len(sample.response_ids) for sample in finished)
            bar.update(len(finished))
            bar.set_postfix_str(f"{tokens / bar.format_dict['elapsed']:,.0f} tokens/s")


class VLLMSampler:
    """One vLLM engine in this process (its tensor-parallel workers in their own).

    Args:
        model: folder or hub name with a language-model head.
        max_prompt_tokens: of the longest prompt that will come.

    Raises:
        ValueError: the context of the model is too short for the settings.
    """

    def __init__(
        self, model: str, settings: SamplingSettings, *, max_prompt_tokens: int, tensor_parallel: int = 1
    ) -> None:
        check_context(model, max_prompt_tokens, settings.max_tokens)
        set_vllm_environment()
        from vllm import EngineArgs, LLMEngine
        from vllm.usage.usage_lib import UsageContext

        on_cpu = not torch.cuda.is_available()
        max_model_len = max_prompt_tokens + settings.max_tokens
        self.settings = settings
        self.stop_token_ids = end_of_turn(AutoTokenizer.from_pretrained(model))
        # On a CPU a prompt is never split: vLLM draws a token after each part, throws it away and winds the request's
        # random state back, which a CPU's cannot be.
        whole_prompts = {"enable_chunked_prefill": False, "max_num_batched_tokens": max(2048, max_model_len)}
        self.engine = LLMEngine.from_engine_args(
            EngineArgs(
                model=model,
                dtype="float32" if on_cpu and settings.dtype == "auto" else settings.dtype,  # type: ignore[arg-type]
                tensor_parallel_size=tensor_parallel,
                max_model_len=max_model_len,
                enforce_eager=on_cpu,
                seed=settings.seed,
                disable_log_stats=True,
                **(whole_prompts if on_cpu else {}),  # type: ignore[arg-type]
            ),
            usage_context=UsageContext.LLM_CLASS,  # offline: vLLM takes more sequences side by side than for a server
        )

    def __call__(self, requests: list[Request]) -> Iterator[list[Sample]]:
        from vllm import RequestOutput, SamplingParams
        from vllm.sampling_params import RequestOutputKind

        settings = self.settings
        sources = {f"{request.problem}/{request.sample}": request for request in requests}
        for request_id, request in sources.items():
            params = SamplingParams(
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=settings.top_k,
                max_tokens=settings.max_tokens,
                seed=request.seed,
                output_kind=RequestOutputKind.FINAL_ONLY,
                stop_token_ids=self.stop_token_ids,
            )
            self.engine.add_request(request_id, {"prompt_token_ids": request.prompt_ids}, params)
        while self.engine.has_unfinished_requests():
            finished = []
            for output in self.engine.step():
                assert isinstance(output, RequestOutput)
                request, completion = sources[output.request_id], output.outputs[0]
                reason = "stop" if completion.finish_reason == "stop" else "length"
                response_ids = list(completion.token_ids)
                finished.append(Sample(request.problem, request.sample, completion.text, response_ids, reason))
            if finished:
                yield finished

    def close(self) -> None:
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self.engine.engine_core.shutdown()
        del self.engine
        gc.collect()
        cleanup_dist_env_and_memory()


def set_vllm_environment() -> None:
    """Settings that vLLM reads from the environment when it is first imported; what the user has set stays."""
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")  # a fork after a look at CUDA could not use it
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # its warnings are about tuning; what stops it is raised
    # Compiled by nvcc at the start where it is on, and not used for requests that have a seed, as all of ours have.
    os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")
    if not torch.cuda.is_available():
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; a short evaluation needs no more
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # binding fails in containers that hide cores
        # With one worker the engine can run in this process, so that a kill leaves nothing behind.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def check_language_model_head(model: str) -> None:
    """
    Raises:
        ValueError: there is no such model, or its configuration names no class with a language-model head.
    """
    try:
        architectures = AutoConfig.from_pretrained(model).architectures or []
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{model} is no model folder, and no model of that name can be reached{hub_is_off()}: {reason}"
        ) from None
    if not any(name.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")) for name in architectures):
        raise ValueError(
            f"{model} has no language-model head (architectures: {', '.join(architectures) or 'none'}); "
            "evaluation needs a model that generates text."
        )


def check_context(model: str, max_prompt_tokens: int, max_tokens: int) -> None:
    """
    Raises:
        ValueError: the model's context is too short for the longest prompt and response.
    """
    context = AutoConfig.from_pretrained(model).get_text_config().max_position_embeddings
    if max_prompt_tokens + max_tokens > context:
        raise ValueError(
            f"{model} has a context of {context} tokens and the longest prompt has {max_prompt_tokens}: "
            f"set --max-tokens to at most {context - max_prompt_tokens} instead of {max_tokens}."
        )
