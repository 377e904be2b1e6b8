"""verl's reward manager for verifiable answers: one verdict a response, from worker processes that cannot hang.

Every reward worker of verl (`reward.num_workers` of them) owns a `VerifierPool` for answers or a `CodePool` for
programs, each started by the first response that needs it.
Settings: `reward.reward_kwargs`, see `RewardSettings`. What a group's responses say about each other comes later: it
needs the features, which exist only after the log-prob pass.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from g2rl.data.check import ground_truth_text
from g2rl.data.tests_files import resolve
from g2rl.end_of_turn import end_of_turn
from g2rl.evaluation.verdicts import program_id
from g2rl.verify import Verdict, VerifierPool, verifier_table
from g2rl.verify.code import CodePool
from recipe.g2rl.settings.config import data_files
from recipe.g2rl.settings.reward import overlong_penalty, reward_settings


class VerifiedRewardManager(RewardManagerBase):
    """Reward +1 for a right answer and -1 for any other, plus the overlong punishment where it is enabled.

    Extra info of a response: `acc` (0 or 1), `pred` (the final answer, "" for none), `verdict` ("right", "wrong",
    "no_answer", "truncated", "timeout", "crash", "error") and `verify_seconds`; see `recipe.g2rl.correctness`. The
    `pred` of a program is a hash of it. Where the chat template ends a turn with another token than the tokenizer's end
    of text, `ended_turn` says whether the response ended so.
    """

    def __init__(self, config, tokenizer, compute_score=None, reward_router_address=None, reward_model_tokenizer=None):
        super().__init__(config, tokenizer, compute_score)
        self.settings = reward_settings(config)
        self.verifiers = verifier_table(self.settings.verifiers)
        ends_turn = set(end_of_turn(tokenizer))
        self.end_tokens = ends_turn | set(tokenizer.all_special_ids)
        self.end_of_turn = ends_turn - {tokenizer.eos_token_id}
        self.decode = partial(tokenizer.decode, skip_special_tokens=True)
        files = [path for setting in ("train_files", "val_files") for path in data_files(config, setting)]
        self.data_folders = sorted({path.parent for path in files})

    @cached_property
    def answers(self) -> VerifierPool:
        settings = self.settings
        return VerifierPool(settings.pool_workers, settings.timeout_s, memory_mb=settings.memory_mb)

    @cached_property
    def programs(self) -> CodePool:
        return CodePool(self.settings.code_settings.workers, self.settings.code_settings)

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
        if self.end_of_turn:
            extra_info["ended_turn"] = float(length > 0 and response_ids[-1] in self.end_of_turn)
        if self.settings.overlong_buffer_cfg.enable and self.settings.overlong_buffer_cfg.log:
            extra_info |= {"overlong_reward": penalty, "overlong": penalty < 0}
        return {"reward_score": 2 * acc - 1 + penalty, "reward_extra_info": extra_info}

    async def _verify(self, response_ids: list[int], row: Mapping[str, Any]) -> Verdict:
        response = await asyncio.get_running_loop().run_in_executor(None, self.decode, response_ids)
        verifier, gold = self.verifiers[row["data_source"]], row["reward_model"]["ground_truth"]
        if verifier == "code":
            verdict = await asyncio.wrap_future(self.programs.submit(response, resolve(gold, self.data_folders)))
            return replace(verdict, answer=verdict.answer and program_id(verdict.answer))
        num_choices = (row.get("extra_info") or {}).get("num_choices")
        return await asyncio.wrap_future(
            self.answers.submit(response, ground_truth_text(gold), verifier=verifier, num_choices=num_choices)
        )
