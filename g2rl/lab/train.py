"""A step of the laboratory: sample, verify, let the method shape, standardise, update.

Shape suffixes: N responses of a step, T tokens.
"""

import copy
import math
import random
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from g2rl.embedding import Embedder, default_embedding_model
from g2rl.features import TokenPass, check_plain_logits, gradient_features, mean_over_tokens
from g2rl.lab.policy import Prefix, Responses, hidden_states, prefill, prompt_log_probs, sample, select, token_log_probs
from g2rl.lab.tasks import TASKS, Problem, equations
from g2rl.lab.update import check_actor, group_advantages, loss_of_tokens
from g2rl.methods.base import Method, Samples, shaped_rewards


class Laboratory:
    """A policy, its optimiser and a task.

    Args:
        config: as `configs/lab.yaml` composes it.
        task: name of the task, one of `TASKS`.

    Raises:
        ValueError: a setting that the laboratory does not know.
    """

    def __init__(self, config: Any, method: Method, task: str) -> None:
        check_actor(config.actor_rollout_ref.actor)
        if task not in TASKS:
            raise ValueError(f"task={task} is not in the laboratory, which has {', '.join(TASKS)}.")
        self.config, self.method, self.task = config, method, task
        torch.manual_seed(config.seed)  # of the tokens that clip_cov draws; all else has generators of its own
        folder = config.actor_rollout_ref.model.path or instantiate(config.prepare.model, cache=Path(config.cache))
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        check_plain_logits(self.model.config.get_text_config())
        self.reference = copy.deepcopy(self.model).requires_grad_(False)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        optim = config.actor_rollout_ref.actor.optim
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=optim.lr, betas=tuple(optim.betas), weight_decay=optim.weight_decay
        )
        warmup = optim.lr_warmup_steps
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: step / warmup if step < warmup else 1.0
        )
        self.problems = TASKS[task].problems("train", config.data.train_max_samples)
        self.validation = TASKS[task].problems("val", config.data.val_max_samples)

    def batch(self, step: int) -> list[Problem]:
        """The problems of a step, in the order of the data; each epoch is shuffled anew."""
        size = self.config.data.train_batch_size
        steps = len(self.problems) // size
        order = list(range(len(self.problems)))
        random.Random(f"{self.config.seed}-{(step - 1) // steps}").shuffle(order)
        start = (step - 1) % steps * size
        return [self.problems[i] for i in sorted(order[start : start + size])]

    def prompts(self, problems: Sequence[Problem]) -> list[list[int]]:
        conversations = [[{"role": "user", "content": problem.question}] for problem in problems]
        texts = self.tokenizer.apply_chat_template(conversations, add_generation_prompt=True, tokenize=False)
        return self.tokenizer(texts)["input_ids"]

    def sample(self, prefix: Prefix, prompts: Tensor, temperature: float, seed: str) -> Responses:
        return sample(
            self.model,
            prefix,
            prompts,
            max_tokens=self.config.data.max_response_length,
            temperature=temperature,
            end_ids=[self.tokenizer.eos_token_id],
            generator=torch.Generator().manual_seed(random.Random(seed).getrandbits(63)),
        )

    def texts(self, responses: Responses) -> list[str]:
        return self.tokenizer.batch_decode(
            [row.tolist() for row in responses.split(responses.tokens)], skip_special_tokens=True
        )

    def correct(self, responses: Responses, problems: Sequence[Problem]) -> tuple[Tensor, Tensor, list[str]]:
        """[N] is it right, [N] has it an answer, and the texts. A response that was cut off is wrong and has none."""
        texts = self.texts(responses)
        verdicts = TASKS[self.task].judge(texts, [problems[i].answer for i in responses.prompts.tolist()])
        right_N = torch.tensor([verdict.correct for verdict in verdicts])
        valid_N = torch.tensor([bool(verdict.answer) for verdict in verdicts])
        return right_N & responses.finished, valid_N & responses.finished, texts

    # ------------------------------------------------------------------ a step

    def step(self, step: int) -> dict[str, float]:
        rollout, start = self.config.actor_rollout_ref.rollout, time.perf_counter()
        problems = self.batch(step)
        prompts = self.prompts(problems)
        with torch.no_grad():
            prefix = prefill(self.model, prompts)
        prompts_N = torch.arange(len(problems)).repeat_interleave(rollout.n)
        responses = self.sample(prefix, prompts_N, rollout.temperature, f"{self.config.seed}-{step}")
        correct_N, valid_N, texts = self.correct(responses, problems)
        sampled = time.perf_counter()
        head = gradient_features(
            responses.hidden,
            self.model.lm_head.weight,
            responses.tokens,
            responses.rows,
            len(correct_N),
            temperature=rollout.temperature,
        )
        columns = self.columns(responses, prefix, prompts, head, texts)
        samples = Samples(correct_N, prompts_N, valid_N, columns, step)
        advantages_N, metrics = self.advantages(samples)
        metrics |= self.update(prompts, responses, head.log_probs, advantages_N)
        return metrics | {
            "reward/pass_rate": correct_N.float().mean().item(),
            "critic/score/mean": samples.rewards.mean().item(),
            "response_length/mean": responses.lengths.float().mean().item(),
            "actor/entropy": head.entropy.mean().item(),
            "timing_s/gen": sampled - start,
            "timing_s/step": time.perf_counter() - start,
        }

    def advantages(self, samples: Samples) -> tuple[Tensor, dict[str, float]]:
        rewards_N, metrics = shaped_rewards(self.method, samples)
        advantages_N = group_advantages(rewards_N, samples.group_ids)
        advantages_N, more = self.method.reweight_advantages(advantages_N, samples)
        return advantages_N, metrics | more

    def columns(
        self,
        responses: Responses,
        prefix: Prefix,
        prompts: Sequence[Sequence[int]],
        head: TokenPass,
        texts: list[str],
    ) -> dict[str, Any]:
        """What the method may name of what `g2rl.methods.base.Samples` lists.

        `score_on` puts something else in the place of the gradient features; "derivations" makes an oracle of the
        score: the cosine of two responses is 1 where they have the same equations and 0 elsewhere.
        """
        features_NH = head.features
        columns: dict[str, Any] = {"features": features_NH}
        sums_NH = torch.zeros_like(features_NH).index_add(0, responses.rows, responses.hidden.float())
        columns["hidden_states"] = mean_over_tokens(sums_NH, responses.lengths.float())
        score_on = self.config.score_on
        if "embeddings" in self.method.inputs or score_on == "embeddings":
            columns["embeddings"] = torch.from_numpy(self.embedder.embed(texts))
        if score_on == "derivations":
            columns["features"] = torch.nn.functional.one_hot(numbered(map(equations, texts))).float()
        elif score_on != "features":
            columns["features"] = columns[score_on]
        of_responses = responses.split(head.log_probs)
        columns["old_log_probs"] = _nested(of_responses)
        columns["response_mask"] = _nested([torch.ones_like(values) for values in of_responses])
        if "log_probs" in self.method.inputs:
            temperature = self.config.actor_rollout_ref.rollout.temperature
            with torch.no_grad():
                of_prompts = prompt_log_probs(self.model, prefix, prompts, temperature)
            last = torch.zeros(1)  # the row of a sequence's last token predicts nothing
            whole = zip(responses.prompts.tolist(), of_responses, strict=True)
            columns["log_probs"] = _nested([torch.cat([of_prompts[i], values, last]) for i, values in whole])
        return columns

    @cached_property
    def embedder(self) -> Embedder:
        return Embedder(default_embedding_model(), torch.device("cpu"))

    def update(
        self, prompts: Sequence[Sequence[int]], responses: Responses, old_T: Tensor, advantages_N: Tensor
    ) -> dict[str, Any]:
        actor, temperature = self.config.actor_rollout_ref.actor, self.config.actor_rollout_ref.rollout.temperature
        ref_T = torch.zeros_like(old_T)
        if actor.use_kl_loss:
            with torch.no_grad():
                ref_hidden = hidden_states(self.reference, prefill(self.reference, prompts), responses)
                ref_T = token_log_probs(self.reference, ref_hidden, responses.tokens, temperature)[0]
        old, ref = responses.split(old_T), responses.split(ref_T)
        of_step: list[dict[str, float]] = []
        size = actor.ppo_mini_batch_size * self.config.actor_rollout_ref.rollout.n
        for rows in list(torch.arange(len(advantages_N)).split(size)) * actor.ppo_epochs:
            part = select(responses, rows)
            hidden_TH = hidden_states(self.model, prefill(self.model, prompts), part)
            log_probs_T, entropy_T = token_log_probs(self.model, hidden_TH, part.tokens, temperature)
            old_part_T, ref_part_T = (torch.cat([of_rows[row] for row in rows.tolist()]) for of_rows in (old, ref))
            advantages_T = advantages_N[rows].repeat_interleave(part.lengths)
            loss, metrics = loss_of_tokens(log_probs_T, old_part_T, ref_part_T, entropy_T, advantages_T, actor)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), actor.optim.clip_grad).item()
            if math.isfinite(norm):
                self.optimizer.step()
            self.optimizer.zero_grad()
            of_step.append(metrics | {"actor/grad_norm": norm})
        self.schedule.step()
        means = {name: sum(one[name] for one in of_step) / len(of_step) for name in of_step[0]}
        return means | {"actor/lr": float(self.schedule.get_last_lr()[0])}

    # ------------------------------------------------------------------ validation

    def validate(self, step: int) -> list[list[str | None]]:
        """Of every problem's samples the derivation, "" for a right answer without one, None for a wrong one."""
        settings = self.config.actor_rollout_ref.rollout.val_kwargs
        outcomes: list[list[str | None]] = []
        for start in range(0, len(self.validation), 16):
            problems = self.validation[start : start + 16]
            with torch.no_grad():
                prefix = prefill(self.model, self.prompts(problems))
            rows_N = torch.arange(len(problems)).repeat_interleave(settings.n)
            responses = self.sample(prefix, rows_N, settings.temperature, f"{self.config.seed}-{step}-val-{start}")
            correct_N, _, texts = self.correct(responses, problems)
            found = [
                (TASKS[self.task].way(text, problems[i].answer) or "") if right else None
                for text, i, right in zip(texts, rows_N.tolist(), correct_N.tolist(), strict=True)
            ]
            outcomes += [found[i : i + settings.n] for i in range(0, len(found), settings.n)]
        return outcomes


def numbered(names: Iterable[str]) -> Tensor:
    """[N] int64, equal where the names are equal."""
    places: dict[str, int] = {}
    return torch.tensor([places.setdefault(name, len(places)) for name in names])


def _nested(values: Sequence[Tensor]) -> Tensor:
    return torch.nested.as_nested_tensor(list(values), layout=torch.jagged)
