"""A checkpoint is whole or not there, whatever interrupts its writing; a run goes on only with its own data."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recipe.checkpoints import INCOMPLETE, missing_files, newest_whole, publish, remove_old
from recipe.run_dir import CONFIG_FILE, by_step, only_run_in, prepare_run_dir


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
            "data": {"train_files": str(tmp_path / "train.parquet")},
            "trainer": {
                "resume_mode": "auto",
                "default_local_dir": "${run_dir}/checkpoints",
                "nnodes": 1,
                "n_gpus_per_node": 2,
            },
        }
    )


def test_a_run_goes_on_only_with_its_data(config, tmp_path):
    run_dir = prepare_run_dir(config)
    assert (run_dir / CONFIG_FILE).exists()
    (tmp_path / "train.parquet").write_bytes(b"other data")
    prepare_run_dir(config)  # nothing was trained yet
    saved(run_dir / "checkpoints", 1)
    prepare_run_dir(config)
    (tmp_path / "train.parquet").write_bytes(b"some data")
    with pytest.raises(ValueError, match=r"train\.parquet is not what .*run was trained on.*another run_dir"):
        prepare_run_dir(config)
    config.trainer.resume_mode = "disable"
    prepare_run_dir(config)


def test_a_run_does_not_go_on_with_another_file(config, tmp_path):
    run_dir = prepare_run_dir(config)
    saved(run_dir / "checkpoints", 1)
    (tmp_path / "other.parquet").write_bytes(b"some data")
    config.data.train_files = [str(tmp_path / "other.parquet")]
    with pytest.raises(ValueError, match=r"train\.parquet is not what"):
        prepare_run_dir(config)
    config.data.train_files = [str(tmp_path / "train.parquet"), str(tmp_path / "other.parquet")]
    with pytest.raises(ValueError, match=r"other\.parquet is not what"):
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
