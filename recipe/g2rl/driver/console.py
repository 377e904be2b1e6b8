"""What a user sees of a run: one line a step on the terminal, everything else in the log file.

The launcher sends all output, its own and Ray's, to `train.log`. `Console` shows on the terminal what was reported
(`recipe.g2rl.saving.run_log.report`), with a progress bar.
"""

import os
import re
import sys
import threading
from pathlib import Path

from tqdm import tqdm

from recipe.g2rl.saving.run_log import MARK

LOG_FILE = "train.log"


class Console:
    """While open, the process's output goes to the log file, and its marked lines and a step bar to the terminal."""

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self.done = threading.Event()

    def __enter__(self) -> "Console":
        sys.stdout.flush()
        sys.stderr.flush()
        self.saved = os.dup(1), os.dup(2)
        self.terminal = os.fdopen(os.dup(1), "w", buffering=1)
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.start = os.lseek(log, 0, os.SEEK_END)  # an earlier start may have written before
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        self.bar = tqdm(desc="training", unit="step", file=self.terminal, disable=None, leave=False)
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.done.set()
        self.thread.join()
        self.bar.close()
        for saved, fd in zip(self.saved, (1, 2), strict=True):
            os.dup2(saved, fd)
            os.close(saved)

    def show(self, text: str) -> None:
        self.bar.write(text, file=self.terminal)

    def _follow(self) -> None:
        with open(self.log_path, "rb") as log:
            log.seek(self.start)
            last_round = False
            while not last_round:
                last_round = self.done.wait(0.2)
                while (line := log.readline()).endswith(b"\n"):
                    if MARK.encode() in line:
                        self._show_report(line.decode(errors="replace").split(MARK, 1)[1].strip())
                log.seek(-len(line), os.SEEK_CUR)  # the rest of an unfinished line, for the next round

    def _show_report(self, text: str) -> None:
        self.show(text)
        if step := re.match(r"step (\d+)/(\d+)", text):
            self.bar.total = int(step[2])
            self.bar.n = int(step[1])
            self.bar.refresh()
