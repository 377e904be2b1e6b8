"""verl's reward manager for verifiable answers: one verdict a response, from worker processes that cannot hang.

Every reward worker of verl (`reward.num_workers` of them) owns one `VerifierPool`, warm when the worker is ready.
Settings: `reward.reward_kwargs`, see `RewardSettings`. What a group's responses say about each other (novelty) is no
business of this file: it needs the features, which exist only after the log-prob pass.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from g2rl.verify import VerifierPool, verifier_table


@dataclass
class OverlongBuffer:
    """DAPO's soft overlong punishment (arXiv 2503.14476, eq. 13), with verl's names for its settings.

    A response may use `max_resp_len - len` tokens freely; past that the reward falls linearly, to `-penalty_factor`
    at `max_resp_len`.
    """

    enable: bool = False
    len: int = 4096
    penalty_factor: float = 1.0


@dataclass
class RewardSettings:
    """`reward.reward_kwargs`.

    verifiers: data source -> "math" or "choice", for sources that the built-in table does not name.
    timeout_s: the wall-clock limit of one comparison; past it the answer is wrong.
    pool_workers: verifier processes of each reward worker.
    memory_mb: address space of each verifier process.
    max_resp_len: length limit of a response in tokens; a response that reaches it without an end token is wrong.
    """

    max_resp_len: int
    verifiers: dict[str, str] = field(default_factory=dict)
    timeout_s: float = 5.0
    pool_workers: int = 2
    memory_mb: int = 1024
    overlong_buffer_cfg: OverlongBuffer = field(default_factory=OverlongBuffer)

    def __post_init__(self):
        buffer = self.overlong_buffer_cfg
        if buffer.enable and not 0 < buffer.len <= self.max_resp_len:
            raise ValueError(
                f"reward.reward_kwargs.overlong_buffer_cfg.len is {buffer.len}; set it between 1 and max_resp_len "
                f"({self.max_resp_len}), or set enable to False."
            )
        verifier_table(self.verifiers)


def reward_settings(config: Mapping) -> RewardSettings:
    """The validated settings of a trainer config (an OmegaConf DictConfig)."""
    schema = OmegaConf.structured(RewardSettings)
    settings = OmegaConf.to_object(OmegaConf.merge(schema, config["reward"]["reward_kwargs"]))
    assert isinstance(settings, RewardSettings)
    return settings


def overlong_penalty(response_length: int, settings: RewardSettings) -> float:
    """What the soft overlong punishment adds to the reward: 0 or negative."""
    buffer = settings.overlong_buffer_cfg
    if not buffer.enable:
        return 0.0
    exceeded = response_length - (settings.max_resp_len - buffer.len)
    return min(-exceeded / buffer.len * buffer.penalty_factor, 0.0)


def reward_metrics(extra_infos: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The step's metrics from the `reward_extra_info` of its responses.

    `reward/timeouts`, `reward/crashes`, `reward/truncated` and `reward/no_answer` are counts; `seconds` is the time
    from a response's arrival to its verdict, waiting included.
    """
    extra_infos = list(extra_infos)
    status = [info["verdict"] for info in extra_infos]
    seconds = [info["verify_seconds"] for info in extra_infos]
    return {
        "reward/timeouts": status.count("timeout"),
        "reward/crashes": status.count("crash"),
        "reward/truncated": status.count("truncated"),
        "reward/no_answer": status.count("no_answer"),
        "reward/seconds_p50": float(np.percentile(seconds, 50)),
        "reward/seconds_p99": float(np.percentile(seconds, 99)),
    }


class VerifiedRewardManager(RewardManagerBase):
    """+1 for a right answer, -1 for any other, plus the overlong penalty where it is enabled."""

    def __init__(self, config, tokenizer, compute_score=None, reward_router_address=None, reward_model_tokenizer=None):
        super().__init__(config, tokenizer, compute_score)
        self.settings = reward_settings(config)
        self.verifiers = verifier_table(self.settings.verifiers)
        self.end_tokens = set(tokenizer.all_special_ids)
        self.decode = partial(tokenizer.decode, skip_special_tokens=True)
        self.pool = VerifierPool(self.settings.pool_workers, self.settings.timeout_s, memory_mb=self.settings.memory_mb)

    async def run_single(self, data: DataProto) -> dict:
        start = time.perf_counter()
        item = data[-1]  # of an agent loop's several outputs the last is the response
        length = int(item.non_tensor_batch["response_len"])
        response_ids = item.batch["responses"][:length].tolist()
        verdict = "wrong"
        pred = ""
        if length >= self.settings.max_resp_len and response_ids[-1] not in self.end_tokens:
            verdict = "truncated"
        else:
            result = await self._verify(response_ids, item.non_tensor_batch)
            pred = result.answer or ""
            if result.correct:
                verdict = "right"
            elif result.failure is not None:
                verdict = result.failure
            elif result.answer is None:
                verdict = "no_answer"
        right = verdict == "right"
        return {
            "reward_score": (1.0 if right else -1.0) + overlong_penalty(length, self.settings),
            "reward_extra_info": {
                "acc": float(right),
                "pred": pred,
                "verdict": verdict,
                "verify_seconds": time.perf_counter() - start,
            },
        }

    async def _verify(self, response_ids: list[int], row: Mapping[str, Any]):
        response = await asyncio.get_running_loop().run_in_executor(None, self.decode, response_ids)
        future = self.pool.submit(
            response,
            row["reward_model"]["ground_truth"],
            verifier=self.verifiers[row["data_source"]],
            num_choices=row.get("extra_info", {}).get("num_choices", 10),
        )
        return await asyncio.wrap_future(future)
