"""Sampling with the real vLLM: resumed after kill -9 to the same samples; what is refused, and with which words."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import BertConfig
from vllm.usage.usage_lib import UsageContext

from g2rl.evaluation.__main__ import main
from g2rl.evaluation.benchmarks import load_benchmark
from g2rl.evaluation.run_folder import model_fingerprint, open_runs
from g2rl.evaluation.samples import read_samples
from g2rl.evaluation.sampling import SamplingSettings, VLLMSampler, check_context, requests_for, sample_seed

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHON": sys.executable}

# More samples than the 256 that vLLM draws side by side, so that they are not all finished at once.
SMALL = ["--num-samples", "60", "--max-tokens", "60", "--temperature", "1.0"]


def start(*command):
    return subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(*command):
    run = start(*command)
    printed, _ = run.communicate()
    assert run.returncode == 0, printed
    return printed


def kill_when(share, total, samples_path, *command):
    """kill -9 once that share of the samples is in the file; the last line is left cut off."""
    run = start(*command)
    while not samples_path.exists() or len(read_samples(samples_path)) < share * total:
        assert run.poll() is None, run.stdout.read()
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert len(read_samples(samples_path)) < total
    with samples_path.open("ab") as file:
        file.write(b'{"problem": "3", "sam')


def samples_and_result(folder):
    samples = {sample.key: sample for sample in read_samples(folder / "samples.jsonl")}
    return samples, json.loads((folder / "result.json").read_text())


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_numbers_of_one_that_was_not(policy, write_benchmark, sums, tmp_path):
    command = [sys.executable, "-m", "g2rl.evaluation", str(policy), str(write_benchmark(sums)), *SMALL]
    printed = finish(*command, "--out", str(tmp_path / "undisturbed"))
    assert "tokens/s" in printed and "| sums " in printed

    command += ["--out", str(tmp_path / "killed")]
    for share in (0.05, 0.5):
        kill_when(share, 480, tmp_path / "killed" / "sums" / "samples.jsonl", *command)
    finish(*command)
    (ours, result), theirs = (samples_and_result(tmp_path / name / "sums") for name in ("killed", "undisturbed"))
    assert len(ours) == 480 and (ours, result) == theirs
    assert result["settings"]["temperature"] == 1.0 and result["versions"]["transformers"]
    finish(*command)  # nothing is left to sample: the engine does not start
    assert samples_and_result(tmp_path / "killed" / "sums") == (ours, result)

    # More samples a problem: those that are there are kept.
    finish(*command, "--num-samples", "61")
    more, _ = samples_and_result(tmp_path / "killed" / "sums")
    assert len(more) == 488 and ours.items() <= more.items()


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif("G2RL_TEST_DATA" not in os.environ, reason="G2RL_TEST_DATA is not set")
def test_math500_killed_twice_ends_with_2000_samples_and_the_same_numbers(tmp_path):
    policy = finish(sys.executable, "-m", "g2rl.models", "--out", os.environ.get("G2RL_CACHE", str(ROOT / ".cache")))
    source = f"{os.environ['G2RL_TEST_DATA']}/math500.jsonl"
    finish(sys.executable, "-m", "g2rl.data", "math500", "--source", source, "--out", str(tmp_path))
    command = ["bash", "scripts/eval.sh", policy.splitlines()[-1], "math500", "--data-dir", str(tmp_path)]
    command += ["--num-samples", "4", "--max-tokens", "48"]
    finish(*command, "--out", str(tmp_path / "undisturbed"))
    command += ["--out", str(tmp_path / "killed")]
    for share in (0.25, 0.65):
        kill_when(share, 2000, tmp_path / "killed" / "math500" / "samples.jsonl", *command)
    finish(*command)
    ours, theirs = (samples_and_result(tmp_path / name / "math500") for name in ("killed", "undisturbed"))
    assert len(ours[0]) == 2000 and ours == theirs
    assert len((tmp_path / "killed" / "math500" / "samples.jsonl").read_text().splitlines()) == 2000


def test_each_sample_has_a_seed_of_its_own():
    seeds = [
        sample_seed(run, str(problem), sample) for run in range(3) for problem in range(50) for sample in range(20)
    ]
    assert len(set(seeds)) == 3000 and all(0 <= seed < 2**32 for seed in seeds)
    assert sample_seed(0, "test/algebra/1.json", 3) == 16272900  # the same on every machine, for ever


def test_prompts_are_rendered_by_the_chat_template(policy, write_benchmark, sums, tmp_path):
    from transformers import AutoTokenizer

    benchmark = load_benchmark(str(write_benchmark(sums[:2])), tmp_path)
    requests = requests_for(benchmark.problems, str(policy), SamplingSettings(num_samples=3))
    assert [(request.problem, request.sample) for request in requests] == [(p, i) for p in "01" for i in range(3)]
    text = AutoTokenizer.from_pretrained(policy).decode(requests[3].prompt_ids)
    assert text == "<|im_start|>user\nWhat is 1 + 1?<|im_end|>\n<|im_start|>assistant\n"


def test_a_folder_with_other_settings_is_refused(policy, write_benchmark, sums, tmp_path):
    benchmark = load_benchmark(str(write_benchmark(sums)), tmp_path)
    settings = SamplingSettings(num_samples=2, max_tokens=16)
    (run,) = open_runs(str(policy), [benchmark], settings, tmp_path)
    run.folder.mkdir()
    (run.folder / "settings.json").write_text(json.dumps(run.settings))
    run.samples_path.touch()  # a start that failed before its first sample
    other = SamplingSettings(num_samples=2, max_tokens=16, temperature=0.5, seed=1)
    open_runs(str(policy), [benchmark], other, tmp_path)
    run.samples_path.write_text("a sample\n")
    open_runs(str(policy), [benchmark], SamplingSettings(num_samples=4, max_tokens=16), tmp_path)
    with pytest.raises(ValueError, match=r"drawn with temperature 0.8 \(now 0.5\), seed 0 \(now 1\); choose another"):
        open_runs(str(policy), [benchmark], other, tmp_path)
    with pytest.raises(ValueError, match=f"two files are named {benchmark.name}"):
        open_runs(str(policy), [benchmark, benchmark], settings, tmp_path)


def test_the_fingerprint_changes_with_the_weights(policy, tmp_path):
    weights = (policy / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert model_fingerprint(str(tmp_path)) == model_fingerprint(str(policy))
    (tmp_path / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert model_fingerprint(str(tmp_path)) != model_fingerprint(str(policy))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--temperature", "-1"], "temperature = -1.0 is out of range"),
        (["--top-p", "0"], "top_p = 0.0 is out of range"),
        (["--num-samples", "0"], "num_samples = 0 is out of range"),
        (["--max-tokens", "5000"], "has a context of 256 tokens"),
        (["--max-tokens", "16", "--data-parallel", "2"], "run `bash scripts/eval.sh`"),
    ],
)
def test_settings_that_cannot_work_are_one_clear_error(policy, write_benchmark, sums, tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit) as stopped:
        main([str(policy), str(write_benchmark(sums)), "--out", str(tmp_path / "out"), *flags])
    assert stopped.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_a_model_without_language_model_head_is_refused(policy, write_benchmark, sums, tmp_path, capsys):
    BertConfig(architectures=["BertModel"]).save_pretrained(tmp_path / "bert")
    with pytest.raises(SystemExit):
        main([str(tmp_path / "bert"), str(write_benchmark(sums)), "--out", str(tmp_path / "out")])
    assert "has no language-model head (architectures: BertModel)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there_is_named(write_benchmark, sums, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for model in ("some/model", str(tmp_path)):
        with pytest.raises(SystemExit):
            main([model, str(write_benchmark(sums)), "--out", str(tmp_path / "out")])
        assert f"error: {model} is no model folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_context_is_long_enough_to_the_token(policy):
    check_context(str(policy), 156, 100)
    with pytest.raises(ValueError, match="set --max-tokens to at most 99 instead of 100"):
        check_context(str(policy), 157, 100)


@pytest.mark.parametrize("has_gpu", [False, True])
def test_an_engine_takes_what_vllm_takes_for_offline_sampling(policy, monkeypatch, has_gpu):
    """vLLM's own configuration for the arguments that an engine would be built from."""
    import vllm

    given = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(vllm.LLMEngine, "from_engine_args", lambda arguments, **how: given.update(how, args=arguments))
    VLLMSampler(str(policy), SamplingSettings(max_tokens=100), max_prompt_tokens=20)
    monkeypatch.undo()
    scheduler = given["args"].create_engine_config(given["usage_context"]).scheduler_config
    as_by_vllm = vllm.EngineArgs(model=str(policy)).create_engine_config(UsageContext.LLM_CLASS).scheduler_config
    assert scheduler.max_num_seqs == as_by_vllm.max_num_seqs
    assert scheduler.enable_chunked_prefill is has_gpu
