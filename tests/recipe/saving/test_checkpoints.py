"""A checkpoint is whole or not there, whatever interrupts its writing; a run goes on only with its own data."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recipe.g2rl.driver.run_dir import CONFIG_FILE, check_run_dir, is_finished, only_run_in, write_run_dir
from recipe.g2rl.saving.checkpoint_files import (
    INCOMPLETE,
    by_step,
    missing_files,
    newest_whole,
    publish,
    remove_old,
)


def write(directory: Path, step: int) -> Path:
    """A checkpoint's files, as verl leaves them before it has its name."""
    folder = directory / INCOMPLETE / f"global_step_{step}"
    (folder / "actor").mkdir(parents=True)
    (folder / "actor" / "model.pt").write_bytes(bytes(100 + step))
    (folder / "data.pt").write_bytes(bytes(7))
    return folder


def saved(directory: Path, *steps: int) -> list[Path]:
    return [publish(write(directory, step), directory) for step in steps]


def tracker(directory: Path) -> str:
    return (directory / "latest_checkpointed_iteration.txt").read_text()


def test_the_newest_by_number_is_chosen(tmp_path):
    saved(tmp_path, 2, 10, 9)
    assert newest_whole(tmp_path) == tmp_path / "global_step_10"
    assert tracker(tmp_path) == "10"


def test_one_being_written_is_not_there(tmp_path):
    saved(tmp_path, 1)
    write(tmp_path, 2)
    assert newest_whole(tmp_path) == tmp_path / "global_step_1"


@pytest.mark.parametrize(
    ("hurt", "words"),
    [
        (lambda folder: os.truncate(folder / "actor/model.pt", 50), "actor/model.pt has 50 of 102 bytes"),
        (lambda folder: (folder / "data.pt").unlink(), "data.pt has 0 of 7 bytes"),
        (lambda folder: (folder / "files.json").unlink(), "no files.json"),
    ],
)
def test_a_damaged_one_is_passed_over_with_a_word(tmp_path, hurt, words):
    _, second = saved(tmp_path, 1, 2)
    hurt(second)
    said: list[str] = []
    assert newest_whole(tmp_path, said.append) == tmp_path / "global_step_1"
    assert len(said) == 1 and words in said[0] and str(second) in said[0]
    assert tracker(tmp_path) == "1"


def test_files_that_came_later_do_no_harm(tmp_path):
    (first,) = saved(tmp_path, 1)
    (first / "actor" / "huggingface").mkdir()
    (first / "actor" / "huggingface" / "model.safetensors").write_bytes(bytes(3))
    assert missing_files(first) == []


def test_none_whole(tmp_path):
    said: list[str] = []
    assert newest_whole(tmp_path, said.append) is None and said == []
    (first,) = saved(tmp_path, 1)
    (first / "data.pt").unlink()
    assert newest_whole(tmp_path, said.append) is None
    assert said[-1] == "no checkpoint is whole; starting at step 0"


def test_a_step_saved_again_takes_the_place_of_the_damaged_one(tmp_path):
    (first,) = saved(tmp_path, 1)
    (first / "data.pt").unlink()
    saved(tmp_path, 1)
    assert missing_files(first) == []


def test_old_ones_are_kept_by_count(tmp_path):
    saved(tmp_path, 8, 9, 10, 11)
    remove_old(tmp_path, keep=2)
    assert [path.name for path in by_step(tmp_path)] == ["global_step_10", "global_step_11"]


@pytest.fixture
def config(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"some data")
    (tmp_path / "run").mkdir()
    return OmegaConf.create(
        {
            "run_dir": str(tmp_path / "run"),
            "data": {"train_files": str(tmp_path / "train.parquet"), "seed": 1, "train_batch_size": 4},
            "exploration": {"_target_": "g2rl.methods.g2rl.G2RL", "form": "equation"},
            "actor_rollout_ref": {"actor": {"optim": {"lr": 1e-6}}},
            "trainer": {
                "resume_mode": "auto",
                "resume_from_path": None,
                "default_local_dir": "${run_dir}/checkpoints",
                "nnodes": 1,
                "n_gpus_per_node": 2,
                "total_training_steps": None,
            },
        }
    )


def prepare_run_dir(config) -> Path:
    check_run_dir(config)
    write_run_dir(config)
    return Path(config.run_dir)


def test_a_run_goes_on_only_with_its_data(config, tmp_path):
    run_dir = prepare_run_dir(config)
    assert (run_dir / CONFIG_FILE).exists()
    (tmp_path / "train.parquet").write_bytes(b"other data")
    prepare_run_dir(config)  # nothing was trained yet
    saved(run_dir / "checkpoints", 1)
    prepare_run_dir(config)
    (tmp_path / "train.parquet").write_bytes(b"some data")
    with pytest.raises(ValueError, match=r"train\.parquet is not the file that .*run was trained on.*another run_dir"):
        prepare_run_dir(config)


def test_a_run_from_the_beginning_takes_no_folder_with_checkpoints(config):
    run_dir = prepare_run_dir(config)
    _, second = saved(run_dir / "checkpoints", 1, 2)
    config.trainer.resume_mode = "disable"
    with pytest.raises(ValueError, match=r"resume_mode=disable would leave out .*global_step_2.*another run_dir"):
        prepare_run_dir(config)
    config.trainer.resume_mode, config.trainer.resume_from_path = "resume_path", str(second.with_name("global_step_1"))
    with pytest.raises(ValueError, match=r"resume_mode=resume_path would leave out .*global_step_2"):
        prepare_run_dir(config)
    config.trainer.resume_from_path = str(second)
    prepare_run_dir(config)
    for path in (str(run_dir), str(second.with_name("global_step_7")), None):
        config.trainer.resume_from_path = path
        with pytest.raises(ValueError, match=f"resume_from_path={path} is no folder global_step_N"):
            prepare_run_dir(config)
    config.trainer.resume_mode = "never"
    with pytest.raises(ValueError, match="resume_mode=never is none of auto, resume_path, disable"):
        prepare_run_dir(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [("exploration.form", "prose"), ("+exploration.scale", 1.0), ("data.seed", 2), ("data.train_batch_size", 8)],
)
def test_a_run_does_not_become_another_on_its_way(config, name, value):
    run_dir = prepare_run_dir(config)
    before = (run_dir / CONFIG_FILE).read_text()
    OmegaConf.update(config, name.lstrip("+"), value)
    prepare_run_dir(config)  # nothing was trained yet
    (run_dir / CONFIG_FILE).write_text(before)
    saved(run_dir / "checkpoints", 1)
    with pytest.raises(
        ValueError, match=rf"{name.lstrip('+')} is {value}, and the run in .* began with .*another run_dir"
    ):
        prepare_run_dir(config)
    assert (run_dir / CONFIG_FILE).read_text() == before


def test_what_a_run_may_change_it_says(config):
    saved(prepare_run_dir(config) / "checkpoints", 1)
    assert check_run_dir(config) == []
    config.actor_rollout_ref.actor.optim.lr = 2e-6
    config.exploration.log_geometry = True
    assert check_run_dir(config) == [
        "actor_rollout_ref.actor.optim.lr is 2e-06 from now on, and was 1e-06",
        "exploration.log_geometry is True from now on, and was None",
    ]


def test_a_run_is_finished_when_its_last_checkpoint_is_whole_and_its_last_step_is_logged(config):
    run_dir = prepare_run_dir(config)
    (first,) = saved(run_dir / "checkpoints", 4)
    (run_dir / "metrics.jsonl").write_text('{"step": 3, "data": {"a": 1.0}}\n')
    config.trainer.total_training_steps = 4
    assert not is_finished(config)  # it ended in the validation between checkpoint and log
    (run_dir / "metrics.jsonl").write_text('{"step": 4, "data": {"a": 1.0}}\n')
    found = []
    for config.trainer.total_training_steps in (None, 5, 4, 3):
        found.append(is_finished(config))
    assert found == [False, False, True, True]
    (first / "data.pt").unlink()
    assert not is_finished(config)


def test_a_checkpoint_of_another_run_is_a_beginning(config, tmp_path):
    (first,) = saved(prepare_run_dir(config) / "checkpoints", 1)
    config.run_dir = str(tmp_path / "second")
    Path(config.run_dir).mkdir()
    config.trainer.resume_mode, config.trainer.resume_from_path = "resume_path", str(first)
    prepare_run_dir(config)
    config.exploration.form = "prose"  # nothing was trained there yet
    prepare_run_dir(config)


def test_a_copy_under_another_name_is_not_a_checkpoint_of_the_run(tmp_path):
    saved(tmp_path, 1, 2)
    (tmp_path / "global_step_1").rename(tmp_path / "global_step_1_best")
    remove_old(tmp_path, keep=1)
    assert sorted(path.name for path in tmp_path.glob("global_step_*")) == ["global_step_1_best", "global_step_2"]


def test_a_run_does_not_go_on_with_another_file(config, tmp_path):
    run_dir = prepare_run_dir(config)
    saved(run_dir / "checkpoints", 1)
    (tmp_path / "other.parquet").write_bytes(b"some data")
    config.data.train_files = [str(tmp_path / "other.parquet")]
    with pytest.raises(ValueError, match=r"train\.parquet is not the file that"):
        prepare_run_dir(config)
    config.data.train_files = [str(tmp_path / "train.parquet"), str(tmp_path / "other.parquet")]
    with pytest.raises(ValueError, match=r"other\.parquet is not the file that"):
        prepare_run_dir(config)


def test_a_run_goes_on_only_with_as_many_devices(config):
    run_dir = prepare_run_dir(config)
    (first,) = saved(run_dir / "checkpoints", 1)
    for rank in range(2):
        (first / "actor" / f"model_world_size_2_rank_{rank}.pt").write_bytes(b"")
    prepare_run_dir(config)
    config.trainer.nnodes = 2
    with pytest.raises(ValueError, match=r"global_step_1 was written by 2 devices .* not by the 4 of trainer\.nnodes"):
        prepare_run_dir(config)


def test_one_run_at_a_time_in_a_folder(tmp_path):
    folder = tmp_path / "made"
    with only_run_in(folder), pytest.raises(ValueError, match=r"made belongs to a run that still goes on"):  # noqa: SIM117
        with only_run_in(folder):
            pass
    with only_run_in(folder):
        pass
