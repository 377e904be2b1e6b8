"""What a finished run leaves behind for a person: a table, a picture, and where the checkpoint is."""

from pathlib import Path

from g2rl.report import plot_run, summary_table
from g2rl.report.runs import METRICS_FILE
from recipe.g2rl.saving.checkpoint_files import by_step

PICTURE_FILE = "curves.png"
SUMMARY_FILE = "summary.md"


def summarize(run_dir: Path, checkpoints: Path, seconds: float) -> str:
    """Writes the picture and the table into the run's folder and returns what to print."""
    metrics = run_dir / METRICS_FILE
    plot_run(metrics, run_dir / PICTURE_FILE)
    table = summary_table(metrics)
    (run_dir / SUMMARY_FILE).write_text(table + "\n")
    saved = by_step(checkpoints)
    lines = [
        "",
        table,
        "",
        f"finished in {seconds / 60:.1f} minutes",
        f"picture     {run_dir / PICTURE_FILE}",
        f"checkpoint  {saved[-1] if saved else 'none (trainer.save_freq)'}",
    ]
    return "\n".join(lines)
