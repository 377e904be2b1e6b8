"""However a run ends, its processes end with it, the user reads one clear line, and another run goes on."""

import json
import signal
import time

import pytest

from recipe.g2rl.saving.checkpoint_files import by_step, step_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SMALL = [
    "data.train_batch_size=4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
]


def test_ctrl_c_ends_one_run_and_leaves_the_other_alone(stack):
    """Twice, as people do; and a second run in the folder of one that goes on is refused."""
    interrupted, other = stack("interrupted"), stack("other")
    steps = "trainer.total_training_steps=500"
    process = interrupted.start(*SMALL, "trainer.save_freq=1", steps)
    interrupted.wait_for("step 2/500", process)
    assert interrupted.start(*SMALL, "trainer.save_freq=1", steps).wait() == 2
    assert "belongs to a run that still goes on" in (interrupted.run_dir / "console.txt").read_text()
    beside = other.start(*SMALL, "trainer.total_training_steps=4")
    other.wait_for("step 1/4", beside)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    interrupted.assert_all_gone()
    console = (interrupted.run_dir / "console.txt").read_text()
    assert console.count("interrupted; start it again") == 1 and "Traceback" not in console
    assert beside.wait() == 0, other.story()
    other.assert_all_gone()
    assert by_step(other.run_dir / "checkpoints")[-1].name == "global_step_4"  # save_freq is 15

    last = step_of(by_step(interrupted.run_dir / "checkpoints")[-1])
    interrupted.finish(*SMALL, "trainer.save_freq=1", f"trainer.total_training_steps={last + 1}")
    assert f"ready at step {last} of {last + 1}" in (interrupted.run_dir / "console.txt").read_text()


def test_an_exception_in_an_actor_ends_the_run_with_one_line(stack):
    run = stack("failing")
    run.environment["PROBE_FAILS_AT_STEP"] = "2"
    saving = "trainer.save_freq=1"
    process = run.start(
        *SMALL, saving, "trainer.checkpoint_callback_class=probe.Probe", "trainer.total_training_steps=4"
    )
    assert process.wait() == 1
    run.assert_all_gone()
    console = (run.run_dir / "console.txt").read_text()
    assert "error: RuntimeError: the probe fails at step 2" in console
    assert "Traceback" not in console
    assert "train.log" in console


def test_pathological_ground_truths_do_not_stop_a_run(stack, tmp_path):
    """One in twenty has an answer whose comparison never returns; the run counts them and goes on."""
    import pyarrow.parquet as pq

    from g2rl.data.rows import write_rows

    run = stack("pathological")
    rows = pq.read_table(f"{run.environment['G2RL_DATA_PATH']}/train.parquet").to_pylist()[:40]
    for number, row in enumerate(rows):
        if number % 20 == 0:
            row["reward_model"]["ground_truth"] = r"\gcd(2^{10^9}, 3^{10^9})"
    data = write_rows(rows, tmp_path / "train.parquet")
    run.finish(
        *SMALL,
        f"data.train_files={data}",
        "data.train_batch_size=20",
        "actor_rollout_ref.actor.ppo_mini_batch_size=20",
        "trainer.total_training_steps=2",
        "trainer.save_freq=-1",
        "reward.reward_kwargs.timeout_s=1",
    )
    records = [json.loads(line)["data"] for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert len(records) == 2
    assert sum(record["reward/timeouts"] for record in records) > 0
