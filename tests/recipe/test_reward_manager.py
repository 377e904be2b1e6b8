"""The reward manager as verl runs it: loaded by verl's function, fed with what verl's agent loop sends."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput, AgentLoopWorker
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.trainer.ppo.reward import load_reward_manager

from g2rl.data.tests_files import store_long
from g2rl.models.tokenizer import build_tokenizer
from recipe.g2rl.correctness import reward_metrics
from recipe.g2rl.settings.reward import reward_settings

MAX_RESPONSE = 64
HANGS = r"\boxed{9^{9^{9^9}}}"


def trainer_config(**reward_kwargs):
    return OmegaConf.create(
        {
            "reward": {
                "reward_manager": {
                    "source": "importlib",
                    "name": "VerifiedRewardManager",
                    "module": {"path": "pkg://recipe.g2rl.reward_manager"},
                },
                "reward_kwargs": {"max_resp_len": MAX_RESPONSE, **reward_kwargs},
            },
            "data": {"train_files": "train.parquet", "val_files": "val.parquet"},
        }
    )


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([r"the answer is \boxed{12}"], vocab_size=300)


@pytest.fixture(scope="module")
def manager(tokenizer):
    config = trainer_config(timeout_s=1.0, verifiers={"mine": "math"})
    manager = load_reward_manager(config, tokenizer)
    yield manager
    manager.answers.close()


class LocalHandle:
    """The Ray handle of a reward worker, without Ray: keeps the DataProto that verl built."""

    def __init__(self, manager):
        self.manager = manager
        self.data: list[DataProto] = []

    @property
    def compute_score(self):
        return self

    async def remote(self, data: DataProto) -> dict:
        self.data.append(data)
        return await self.manager.run_single(data)


async def score(manager, *responses: tuple[list[int], str, str], **extra_info) -> list[AgentLoopOutput]:
    """Run verl's `AgentLoopWorker._compute_score` on (response ids, data source, ground truth), all at once."""
    worker = object.__new__(AgentLoopWorker)
    worker.processor, worker.mm_processor_kwargs = None, {}
    worker.reward_loop_worker_handles = [LocalHandle(manager)]
    outputs, tasks = [], []
    for response_ids, source, gold in responses:
        output = AgentLoopOutput(
            prompt_ids=[5, 6, 7], response_ids=response_ids, response_mask=[1] * len(response_ids),
            num_turns=2, metrics=AgentLoopMetrics(), extra_fields={"turn_scores": [], "tool_rewards": []},
        )  # fmt: skip
        row = {
            "data_source": source,
            "reward_model": {"style": "rule", "ground_truth": gold},
            "extra_info": {"index": 0, "split": "train", **extra_info},
            "raw_prompt": [{"role": "user", "content": "?"}],
            "uid": "u",
        }
        outputs.append([output])
        tasks.append(worker._compute_score([output], kwargs=row))
    await asyncio.gather(*tasks)
    return [output for (output,) in outputs]


def reward_of(manager, tokenizer, text, gold, source="math", *, end=True, **extra_info):
    ids = tokenizer.encode(text) + [tokenizer.eos_token_id] * end
    (output,) = asyncio.run(score(manager, (ids, source, gold), **extra_info))
    return output.reward_score, output.extra_fields["reward_extra_info"]


def test_right_and_wrong(manager, tokenizer):
    reward, info = reward_of(manager, tokenizer, r"so \boxed{1/2}", "0.5")
    assert reward == 1.0
    assert (info["acc"], info["pred"], info["verdict"]) == (1.0, "1/2", "right")
    reward, info = reward_of(manager, tokenizer, r"so \boxed{3}", "0.5")
    assert reward == -1.0
    assert (info["acc"], info["pred"], info["verdict"]) == (0.0, "3", "wrong")


def test_no_answer_and_empty_responses_are_wrong(manager, tokenizer):
    reward, info = reward_of(manager, tokenizer, "I do not know", "0.5")
    assert (reward, info["acc"], info["pred"], info["verdict"]) == (-1.0, 0.0, "", "no_answer")
    for ids in ([], [tokenizer.eos_token_id]):
        (output,) = asyncio.run(score(manager, (ids, "math", "1")))
        assert output.reward_score == -1.0
        assert output.extra_fields["reward_extra_info"]["verdict"] == "no_answer"


def test_the_data_source_chooses_the_verifier(manager, tokenizer):
    assert reward_of(manager, tokenizer, r"\boxed{\text{(J)}}", "J", "mmlu_pro", num_choices=10)[0] == 1.0
    assert reward_of(manager, tokenizer, r"\boxed{J}", "J", "mmlu_pro", num_choices=9)[1]["verdict"] == "no_answer"
    assert reward_of(manager, tokenizer, r"\boxed{C}", "C", "gpqa_diamond", num_choices=None)[0] == 1.0
    assert reward_of(manager, tokenizer, r"\boxed{x+x}", "2x", "mine")[0] == 1.0


def test_programs_are_judged_by_running_them(tokenizer, tmp_path):
    """By tests in the row, and by tests that lie beside the data; `pred` is a hash of the program."""
    config = trainer_config(code={"timeout_s": 2.0, "workers": 1}, max_resp_len=256)
    config.data.train_files = f"{tmp_path}/train.parquet"
    manager = load_reward_manager(config, tokenizer)
    gold = json.dumps({"function": "add", "tests": [{"args": [1, 2], "result": 3}]})
    beside = store_long(
        json.dumps({"function": "add", "tests": [{"args": [0, i], "result": i} for i in range(2000)]}), tmp_path
    )
    assert "tests_file" in beside
    right = "```python\ndef add(a, b):\n    return a + b\n```"
    wrong = right.replace("+", "-")
    found = [
        reward_of(manager, tokenizer, *row, "programs")
        for row in [(right, gold), (wrong, gold), (right.replace("a +", "c +"), gold), ("a + b", gold), (right, beside)]
    ]
    assert [reward for reward, _ in found] == [1.0, -1.0, -1.0, -1.0, 1.0]
    assert [info["verdict"] for _, info in found] == ["right", "wrong", "error", "no_answer", "right"]
    preds = [info["pred"] for _, info in found]
    assert preds[0] == preds[4] != preds[1] and len(preds[0]) == 16 and preds[3] == ""
    manager.programs.close()
    with pytest.raises(ValueError, match=r"reward_kwargs\.code\.timeout does not exist; there are timeout_s"):
        reward_settings(trainer_config(code={"timeout": 1}))


def test_a_truncated_response_is_wrong_even_with_the_right_box(manager, tokenizer):
    ids = tokenizer.encode(r"\boxed{7}")
    cut = (ids + tokenizer.encode("!") * MAX_RESPONSE)[:MAX_RESPONSE]
    ended = [*cut[:-1], tokenizer.eos_token_id]
    outputs = asyncio.run(score(manager, (cut, "math", "7"), (ended, "math", "7"), (ids, "math", "7")))
    infos = [output.extra_fields["reward_extra_info"] for output in outputs]
    assert [info["verdict"] for info in infos] == ["truncated", "right", "right"]
    assert [output.reward_score for output in outputs] == [-1.0, 1.0, 1.0]


def test_a_hanging_answer_is_wrong_and_delays_no_other_row(manager, tokenizer):
    texts = [(r"\boxed{x+x}", "2x"), (HANGS, "x+1"), (r"\boxed{x}", "2x"), ("no box", "2x")]
    rows = [(tokenizer.encode(text), "math", gold) for text, gold in texts]
    outputs = asyncio.run(score(manager, *rows))
    infos = [output.extra_fields["reward_extra_info"] for output in outputs]
    assert [info["verdict"] for info in infos] == ["right", "timeout", "wrong", "no_answer"]
    assert [output.reward_score for output in outputs] == [1.0, -1.0, -1.0, -1.0]
    metrics = reward_metrics(infos)
    assert (metrics["reward/timeouts"], metrics["reward/no_answer"], metrics["reward/crashes"]) == (1, 1, 0)
    assert infos[1]["verify_seconds"] >= 1.0 > metrics["reward/seconds_p50"]
    assert metrics["reward/seconds_p99"] > 0.9  # between the two slowest of four


def test_verl_makes_validation_metrics_of_the_extra_info(manager, tokenizer):
    """Strings are skipped, numbers averaged, and `pred` turns on majority voting; an empty `pred` does not break it."""
    texts = [r"\boxed{4}", r"\boxed{5}", r"\boxed{4}", "none"]
    infos = [reward_of(manager, tokenizer, text, "4")[1] for text in texts]
    columns = {key: [info[key] for info in infos] for key in infos[0]}
    metrics = process_validation_metrics(["math"] * 4, ["u"] * 4, columns)["math"]
    assert set(metrics) == {"acc", "verify_seconds"}
    assert metrics["acc"]["mean@4"] == 0.5
    assert "maj@4/mean" in metrics["acc"]


def test_settings_may_refer_to_other_parts_of_the_configuration():
    config = trainer_config(max_resp_len="${data.max_response_length}")
    config.data.max_response_length = 77
    assert reward_settings(config).max_resp_len == 77


def test_overlong_penalty_equals_verls_dapo_manager(manager, tokenizer, monkeypatch):
    """The reward and the extra info of verl's own DAPO manager, for right answers and the same settings."""
    config = trainer_config(overlong_buffer_cfg={"enable": True, "len": 16, "penalty_factor": 0.7, "log": True})
    monkeypatch.setattr(manager, "settings", reward_settings(config))
    config.reward.reward_manager = {"source": "register", "name": "dapo", "module": None}
    verls = load_reward_manager(config, tokenizer)
    verls.compute_score = lambda **_: 1.0
    for length in (9, 48, 49, 60, MAX_RESPONSE):
        ids = (tokenizer.encode(r"\boxed{7}") + tokenizer.encode("!") * MAX_RESPONSE)[: length - 1]
        row = ([*ids, tokenizer.eos_token_id], "math", "7")
        (mine,) = asyncio.run(score(manager, row))
        verls.loop = asyncio.new_event_loop()
        (theirs,) = verls.loop.run_until_complete(score(verls, row))
        verls.loop.close()
        assert mine.reward_score == pytest.approx(theirs.reward_score)
        for key in ("overlong_reward", "overlong"):
            expected = theirs.extra_fields["reward_extra_info"][key]
            assert mine.extra_fields["reward_extra_info"][key] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("timeout", 3, "reward.reward_kwargs.timeout: Key 'timeout' not in"),
        ("timeout_s", "soon", "reward.reward_kwargs.timeout_s: Value 'soon'"),
        ("timeout_s", 0, "reward.reward_kwargs.timeout_s is 0.0; it must be positive"),
        ("verifiers", {"mine": "maths"}, "reward.reward_kwargs.verifiers.mine is 'maths'"),
        ("overlong_buffer_cfg", {"enable": True, "len": 65}, "len is 65; set it between 1 and max_resp_len"),
        ("overlong_buffer_cfg", {"on": True}, "reward.reward_kwargs.overlong_buffer_cfg.on: Key 'on' not in"),
    ],
)
def test_a_wrong_setting_is_one_sentence(setting, value, message):
    with pytest.raises(ValueError, match=message):
        reward_settings(trainer_config(**{setting: value}))


DRIVER = """
import sys, time
import numpy as np, ray, torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from transformers import AutoTokenizer
from verl import DataProto
from verl.experimental.reward_loop.reward_loop import RewardLoopManager

folder = sys.argv[1]
config = OmegaConf.load(f"{folder}/config.yaml")
tokenizer = AutoTokenizer.from_pretrained(folder)
ray.init(address="local", num_cpus=2, include_dashboard=False)
workers = RewardLoopManager(config).reward_loop_worker_handles

def row(text, gold):
    ids = torch.tensor([tokenizer.encode(text)])
    texts = {"data_source": "math", "reward_model": {"ground_truth": gold}, "response_len": ids.shape[1]}
    columns = {name: np.array([value], dtype=object) for name, value in texts.items()}
    return DataProto(TensorDict({"responses": ids}, batch_size=1), columns)

scores = [worker.compute_score.remote(row(r"\\boxed{x+x}", gold)) for gold in ("2x", "3x") for worker in workers]
print([score["reward_score"] for score in ray.get(scores)], flush=True)
for worker in workers:
    worker.compute_score.remote(row(r"\\boxed{9^{9^{9^9}}}", "x+1"))
time.sleep(600)
"""


def processes_of(folder: Path) -> list[psutil.Process]:
    """All that the driver of `folder` started, by an environment variable that they inherit."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TEST_FOLDER") == str(folder):
                found.append(process)
    return found


@pytest.mark.slow
def test_in_verls_reward_workers_and_after_their_driver_is_killed(tokenizer, tmp_path):
    """verl's RewardLoopManager on a real Ray: two actors, a pool each; SIGKILL to the driver leaves no verifier."""
    tokenizer.save_pretrained(tmp_path)
    config = trainer_config(timeout_s=600.0)
    config.actor_rollout_ref = {"model": {"path": str(tmp_path), "tokenizer_path": None}}
    config.reward.num_workers = 2
    config.reward.reward_model = {"enable": False}
    config.reward.custom_reward_function = {"path": None}
    OmegaConf.save(config, tmp_path / "config.yaml")
    # Ray renames its processes over their environment and gives its workers the lowest priority, unless told not to.
    environment = os.environ | {"TEST_FOLDER": str(tmp_path), "SPT_NOENV": "1", "RAY_worker_niceness": "0"}
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        scores = next(line for line in driver.stdout if line.startswith("["))
        assert scores == "[1.0, 1.0, -1.0, -1.0]\n"
        verifiers = [process for process in processes_of(tmp_path) if "g2rl.verify.fork_server" in process.cmdline()]
        assert len(verifiers) == 2 * (1 + 2)  # a server and two workers for each of the two reward workers
        driver.kill()
        _, alive = psutil.wait_procs(verifiers, timeout=60)
        assert alive == []
    finally:
        for process in processes_of(tmp_path):  # Ray's own agents may survive its driver
            process.kill()
        driver.wait()
        driver.stdout.close()
