"""What people have in their data, templates, machines and arguments: said before Ray starts, in one sentence."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from g2rl.data.rows import make_row
from g2rl.models.tokenizer import CHAT_TEMPLATE
from recipe.g2rl.checks.arguments import check_arguments
from recipe.g2rl.checks.check_run import _make_model_and_data, check_run
from recipe.g2rl.checks.data_left import check_data_left
from recipe.g2rl.checks.machine import check_machine
from recipe.g2rl.checks.model_and_data import check_data
from recipe.g2rl.checks.templates import check_templates, load_tokenizer

ROOT = Path(__file__).parents[3]


def rows(count: int, question: str = "1 + 1?", system: str = "") -> list[dict]:
    return [make_row("arithmetic", question, "2", index=i, split="train", system_prompt=system) for i in range(count)]


def write(path: Path, *parts: list[dict]) -> Path:
    """With the types that the rows have, as other people's tools write them."""
    pq.write_table(pa.Table.from_pylist([row for part in parts for row in part]), path)
    return path


@pytest.fixture
def on_data(tmp_path, composed, model_folder):
    """on_data(train rows, *overrides): a run on them that is fine otherwise."""
    shutil.copytree(model_folder, tmp_path / "model")
    write(tmp_path / "val.parquet", rows(4))

    def make(train: list[dict], *overrides: str):
        return composed(
            f"actor_rollout_ref.model.path={tmp_path}/model",
            f"data.train_files={write(tmp_path / 'train.parquet', train)}",
            f"data.val_files={tmp_path}/val.parquet",
            f"run_dir={tmp_path}/run",
            "trainer.total_training_steps=3",
            "trainer.total_epochs=3",
            *overrides,
        )

    return make


def data_checks(config) -> list[str]:
    _, count, _ = check_data(config)
    tokenizer, processor = load_tokenizer(config, online=False)
    check_templates(config, processor or tokenizer)
    return check_data_left(config, count, tokenizer, processor)


def refused(check, config) -> str:
    with pytest.raises(ValueError) as error:
        check(config)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---------------------------------------------------------------------- what is left after dropping

LONG = "1 + " * 100 + "1?"


def test_what_is_dropped_is_told_and_counted_before_the_steps(on_data):
    half = rows(32) + rows(32, LONG)
    assert data_checks(on_data(half)) == [
        "data.train_files: 32 of 64 prompts (50%) are longer than data.max_prompt_length=64 tokens and left out"
    ]
    message = refused(data_checks, on_data(half, "trainer.total_epochs=2"))
    assert "total_training_steps=3, but 32 rows" in message and "make 2 steps" in message
    assert "data.max_prompt_length=64" in message


@pytest.mark.parametrize(
    ("train", "overrides", "words"),
    [
        (rows(20) + rows(20, LONG), [], ["20 rows, too few for one step of data.train_batch_size=32", "20 of 40"]),
        (rows(40, LONG), [], ["data.train_files: all 40 prompts", "data.max_prompt_length=64"]),
        (rows(40), ["data.max_prompt_length=2"], ["data.train_files: all 40"]),
        (rows(40), ["data.train_max_samples=16"], ["16 rows, too few"]),
    ],
)
def test_too_little_is_refused_with_the_setting(on_data, train, overrides, words):
    message = refused(data_checks, on_data(train, *overrides))
    assert all(word in message for word in words)


def test_nothing_left_to_validate_on_is_refused(on_data, tmp_path):
    config = on_data(rows(40))
    write(tmp_path / "val.parquet", rows(4, LONG))
    assert "data.val_files: all 4 prompts" in refused(data_checks, config)


# ---------------------------------------------------------------------- chat templates


def test_a_tokenizer_without_a_template_is_refused(on_data, tmp_path):
    for template in tmp_path.glob("model/chat_template*"):
        template.unlink()
    message = refused(data_checks, on_data(rows(40)))
    assert "has no chat template" in message and "custom_chat_template" in message
    config = on_data(rows(40))
    config.actor_rollout_ref.model.custom_chat_template = CHAT_TEMPLATE
    assert data_checks(config) == []


def test_a_template_that_refuses_a_role_is_named_with_the_file(on_data):
    """One row in many is enough: verl would drop it without an error."""
    config = on_data(rows(40) + rows(1, system="Be brief."))
    config.actor_rollout_ref.model.custom_chat_template = (
        "{%- if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{%- endif %}"
        + CHAT_TEMPLATE
    )
    message = refused(data_checks, config)
    assert "train.parquet with the roles system, user (System role not supported)" in message
    assert "user's message" in message


def test_settings_of_the_template_reach_the_length_filter(on_data):
    template = "{%- if not brief %}" + "{{- 'think ' * 100 }}" + "{%- endif %}" + CHAT_TEMPLATE
    config = on_data(rows(40))
    config.actor_rollout_ref.model.custom_chat_template = template
    assert "all 40 prompts" in refused(data_checks, config)
    config = on_data(rows(40), "+data.apply_chat_template_kwargs.brief=true")
    config.actor_rollout_ref.model.custom_chat_template = template
    assert data_checks(config) == []


# ---------------------------------------------------------------------- settings that make a run pointless


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("actor_rollout_ref.rollout.temperature=0", ["rollout.temperature=0", "same"]),
        ("actor_rollout_ref.rollout.top_k=1", ["rollout.top_k=1", "same"]),
        ("actor_rollout_ref.rollout.max_num_batched_tokens=64", ["max_num_batched_tokens=64", "max_num_seqs=256"]),
        ("trainer.logger=[console,mlflow]", ["trainer.logger=mlflow", "pip install mlflow"]),
    ],
)
def test_pointless_settings_are_refused_by_name(on_data, override, words):
    message = refused(lambda config: check_run(config, everything=True), on_data(rows(40), override))
    assert all(word in message for word in words)


# ---------------------------------------------------------------------- types in a column


def with_answer(answer, count: int = 40) -> list[dict]:
    return [row | {"reward_model": {"style": "rule", "ground_truth": answer}} for row in rows(count)]


def with_index(index, count: int = 40) -> list[dict]:
    return [row | {"extra_info": {"index": index, "split": "train"}} for row in rows(count)]


@pytest.mark.parametrize("train", [with_answer(0), with_answer(2.5), with_answer(["2"]), with_index("u-1")])
def test_other_peoples_types_are_fine(on_data, train):
    config = on_data(train, "trainer.save_freq=-1")
    config.data.val_files = config.data.train_files
    check_run(config, everything=True)


def test_several_answers_need_a_reward_function(on_data, tmp_path):
    config = on_data(with_answer(["1", "2"]), "trainer.save_freq=-1")
    config.data.val_files = config.data.train_files
    message = refused(lambda config: check_run(config, everything=True), config)
    assert "row 0: reward_model.ground_truth is a list of 2" in message and "custom_reward_function" in message


def test_files_of_different_types_are_said_before_ray(on_data, tmp_path):
    config = on_data(with_answer(2))
    config.data.train_files = [str(config.data.train_files), f"{tmp_path}/val.parquet"]
    assert "data.train_files cannot be read by verl's dataset" in refused(data_checks, config)


# ---------------------------------------------------------------------- the machine


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HOME", "/proc/nowhere", ["HOME, where Ray writes its token", "set HOME"]),
        ("TMPDIR", "/tmp/" + "long/" * 12, ["TMPDIR=/tmp/long", "107 bytes", "RAY_TMPDIR=/tmp"]),
        ("RAY_TMPDIR", "/proc/nowhere", ["RAY_TMPDIR is /proc/nowhere", "cannot be written"]),
    ],
)
def test_folders_that_ray_cannot_use_are_named(on_data, monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    message = refused(check_machine, on_data(rows(40)))
    assert all(word in message for word in words)


def test_a_read_only_project_folder_is_named(on_data):
    message = refused(check_machine, on_data(rows(40), "run_dir=/proc/run"))
    assert message.startswith("run_dir is /proc/run, which cannot be written")


def test_a_container_with_little_is_told_what_it_lacks():
    """A process with docker's default /dev/shm, no address, a name that no one knows, and small limits."""
    inside = (
        "from recipe.g2rl.checks import machine as m; print(*m._limits(), *m._addresses(), sep=chr(10), flush=True); "
        "m._check_shared_memory()"
    )
    script = (
        "mount -t tmpfs -o size=64m tmpfs /dev/shm; hostname nowhere-at-all; ulimit -n 1024; ulimit -u 512; "
        f'exec {sys.executable} -c "{inside}"'
    )
    own = ["unshare", "--mount", "--uts", "--net"]
    if subprocess.run([*own, "true"], capture_output=True).returncode:
        pytest.skip("a machine's name and mounts of its own need root")
    run = subprocess.run([*own, "bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    files, processes, loopback, host = run.stdout.splitlines()
    assert files.startswith("ulimit -n is 1024") and processes.startswith("ulimit -u is 512")
    assert loopback.startswith("127.0.0.1 is no address of this machine")
    assert host.startswith("the host name nowhere-at-all does not resolve")
    assert "ValueError: /dev/shm has 64 MiB free and vLLM alone takes 160; give docker --shm-size" in run.stderr


def test_an_error_while_data_are_made_comes_without_hydras_lines_around_it():
    step = {"_target_": "builtins.int", "_args_": ["seven"]}
    model = {"path": "some"}
    config = OmegaConf.create({"actor_rollout_ref": {"model": model}, "prepare": {"model": None, "data": [step]}})
    with pytest.raises(ValueError, match=r"^invalid literal for int.*'seven'$"):
        _make_model_and_data(config)


# ---------------------------------------------------------------------- arguments


def test_signs_of_hydras_grammar_are_said_with_the_quoting_that_works(capsys):
    folder = "/data/lr=1e-6 (it's, the {second})"
    with pytest.raises(SystemExit) as exit:
        check_arguments(["exploration=g2rl", "--config-name", "verl", f"run_dir={folder}"])
    line = capsys.readouterr().err
    assert exit.value.code == 2 and line.startswith(f"error: Hydra cannot read run_dir={folder}")
    (quoted,) = shlex.split(line.partition("; write ")[2])
    check_arguments([quoted])
    assert OverridesParser.create().parse_override(quoted).value() == folder
