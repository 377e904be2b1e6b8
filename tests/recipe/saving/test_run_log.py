"""The file of a run's steps after a start that was cut off in the middle of a line."""

from g2rl.report.runs import METRICS_FILE, read_metrics
from recipe.g2rl.saving.run_log import RunLog


def test_the_first_step_after_a_torn_line_is_kept(tmp_path):
    for step, torn in ((1, ""), (2, '{"step": 2, "da'), (3, "")):
        with open(tmp_path / METRICS_FILE, "a") as file:
            file.write(torn)
        log = RunLog(str(tmp_path), 3)
        log.log({"loss": step}, step)
        log.finish()
    assert read_metrics(tmp_path / METRICS_FILE)["loss"] == {1: 1.0, 2: 2.0, 3: 3.0}
