"""Pictures and tables of runs."""

from g2rl.report.single import plot_run
from g2rl.report.table import summary_table

__all__ = ["plot_run", "summary_table"]
