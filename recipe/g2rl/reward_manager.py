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
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from g2rl.verify import Verdict, VerifierPool, verifier_table


@dataclass
class OverlongBuffer:
    """DAPO's soft overlong punishment (arXiv 2503.14476, eq. 13), with verl's names for its settings.

    A response may use `max_resp_len - len` tokens freely; past that the reward falls linearly, to `-penalty_factor`
    at `max_resp_len`. With `log`, the punishment of each response goes into its extra info.
    """

    enable: bool = False
    len: int = 4096
    penalty_factor: float = 1.0
    log: bool = False


@dataclass
class RewardSettings:
    """`reward.reward_kwargs`.

    max_resp_len: length limit of a response in tokens; a response that reaches it without an end token is wrong.
    verifiers: data source -> "math" or "choice", for sources that the built-in table does not name.
    timeout_s: wall-clock limit of one comparison; past it the answer is wrong.
    pool_workers, memory_mb: verifier processes of each reward worker, and the address space of each.
    """

    max_resp_len: int
    verifiers: dict[str, str] = field(default_factory=dict)
    timeout_s: float = 5.0
    pool_workers: int = 2
    memory_mb: int = 1024
    overlong_buffer_cfg: OverlongBuffer = field(default_factory=OverlongBuffer)

    def __post_init__(self) -> None:
        for name in ("max_resp_len", "timeout_s", "pool_workers", "memory_mb"):
            if getattr(self, name) <= 0:
                raise ValueError(f"reward.reward_kwargs.{name} is {getattr(self, name)}; it must be positive.")
        buffer = self.overlong_buffer_cfg
        if buffer.enable and not 0 < buffer.len <= self.max_resp_len:
            raise ValueError(
                f"reward.reward_kwargs.overlong_buffer_cfg.len is {buffer.len}; set it between 1 and max_resp_len "
                f"({self.max_resp_len}), or set enable to False."
            )
        verifier_table(self.verifiers)


def reward_settings(config: DictConfig) -> RewardSettings:
    """The settings `reward.reward_kwargs` of a trainer config.

    Raises:
        ValueError: a setting that does not exist, or a value that it cannot take; names both.
    """
    try:
        given = OmegaConf.to_container(config.reward.reward_kwargs, resolve=True)
        merged = OmegaConf.merge(OmegaConf.structured(RewardSettings), given)
        settings = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise ValueError(f"reward.reward_kwargs.{error.full_key}: {str(error.msg).splitlines()[0]}") from None
    assert isinstance(settings, RewardSettings)
    return settings


def overlong_penalty(response_length: int, settings: RewardSettings) -> float:
    """What the soft overlong punishment adds to the reward of a response of `response_length` tokens: 0 or negative."""
    buffer = settings.overlong_buffer_cfg
    if not buffer.enable:
        return 0.0
    exceeded = response_length - (settings.max_resp_len - buffer.len)
    return min(-exceeded / buffer.len * buffer.penalty_factor, 0.0)


def reward_metrics(extra_infos: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """A step's metrics from the `reward_extra_info` of its responses (at least one).

    `reward/timeouts`, `crashes`, `truncated` and `no_answer` count responses by their `verdict` (with a rollout apart
    verl logs the mean over the `parameter_sync_step` batches of a step); `seconds_p50` and `seconds_p99` are of the
    time from a response's arrival at the reward worker to its verdict, waiting included.
    """
    extra_infos = list(extra_infos)
    verdicts = [info["verdict"] for info in extra_infos]
    seconds = [info["verify_seconds"] for info in extra_infos]
    return {
        "reward/timeouts": verdicts.count("timeout"),
        "reward/crashes": verdicts.count("crash"),
        "reward/truncated": verdicts.count("truncated"),
        "reward/no_answer": verdicts.count("no_answer"),
        "reward/seconds_p50": float(np.percentile(seconds, 50)),
        "reward/seconds_p99": float(np.percentile(seconds, 99)),
    }


class VerifiedRewardManager(RewardManagerBase):
    """Reward +1 for a right answer and -1 for any other, plus the overlong punishment where it is enabled.

    Extra info of a response: `acc` (0 or 1), `pred` (the final answer, "" for none), `verdict` ("right", "wrong",
    "no_answer", "truncated", "timeout", "crash") and `verify_seconds`; see `reward_metrics`.
    """

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
        length = int(item.non_tensor_batch["response_len"])  # 0 for an empty response
        response_ids = item.batch["responses"][:length].tolist()
        pred = ""
        if length >= self.settings.max_resp_len and response_ids[-1] not in self.end_tokens:
            verdict = "truncated"
        else:
            result = await self._verify(response_ids, item.non_tensor_batch)
            pred = result.answer or ""
            verdict = result.failure or ("right" if result.correct else "wrong" if pred else "no_answer")
        acc = float(verdict == "right")
        penalty = overlong_penalty(length, self.settings)
        extra_info = {"acc": acc, "pred": pred, "verdict": verdict, "verify_seconds": time.perf_counter() - start}
        if self.settings.overlong_buffer_cfg.enable and self.settings.overlong_buffer_cfg.log:
            extra_info |= {"overlong_reward": penalty, "overlong": penalty < 0}
        return {"reward_score": 2 * acc - 1 + penalty, "reward_extra_info": extra_info}

    async def _verify(self, response_ids: list[int], row: Mapping[str, Any]) -> Verdict:
        response = await asyncio.get_running_loop().run_in_executor(None, self.decode, response_ids)
        future = self.pool.submit(
            response,
            row["reward_model"]["ground_truth"],
            verifier=self.verifiers[row["data_source"]],
            num_choices=(row.get("extra_info") or {}).get("num_choices") or 10,
        )
        return await asyncio.wrap_future(future)
