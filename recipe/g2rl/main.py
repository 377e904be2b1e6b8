"""Entry point: `python -m recipe.g2rl.main exploration=g2rl model=... task=... hardware=... [any Hydra override]`.

With `--config-name verl` the arguments of verl's own entry point fit as they are. Everything that can be known is
checked before Ray starts; `DRY_RUN=1` prints the configuration, checked, and stops there.
"""

import os
import signal
import sys
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hydra
import ray
from omegaconf import DictConfig, OmegaConf

from g2rl.utils.files import atomic_file
from recipe.g2rl.checks.arguments import WRONG_SETTINGS, add_searchpath, check_arguments
from recipe.g2rl.checks.environment import check_installation
from recipe.g2rl.driver.console import LOG_FILE, Console
from recipe.g2rl.driver.launch import TOLD_TO_STOP, run_trainer
from recipe.g2rl.driver.run_dir import check_run_dir, is_finished, only_run_in, write_run_dir
from recipe.g2rl.errors.one_line import WrongCluster, in_one_line
from recipe.g2rl.saving.checkpoint_files import by_step
from recipe.g2rl.settings.config import make_paths_absolute, with_defaults

SHOWN_LOG_BYTES = 64_000_000  # of the end of the log, where an error that points there is looked up
FINISHED, FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143
RESTARTS_DONE = "G2RL_RESTARTS_DONE"
TABLE_FILE = "preflight.txt"
PAUSE_BEFORE_RESTART_S = 10.0


def main() -> int:
    """Exit status: 0 the run finished, 1 it failed, 2 its settings are wrong, 130 Ctrl-C, 143 SIGTERM.

    A run that failed is started again, from its newest checkpoint, up to `MAX_RESTARTS` times (environment; default 0).
    """
    try:
        check_installation()  # before anything of verl's is imported or composed
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTINGS
    # Hydra's own message for an unknown setting or group is clear; its traceback adds nothing.
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    add_searchpath(sys.argv)
    check_arguments(sys.argv[1:])
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, _interrupt)
    status = 0

    @hydra.main(config_path="configs", config_name="trainer", version_base=None)
    def compose_and_run(config: DictConfig) -> None:
        nonlocal status
        status = _run(config)

    try:
        compose_and_run()
    except KeyboardInterrupt:  # before there was a run
        print("interrupted before the run began", file=sys.stderr)
        return INTERRUPTED
    if status == FAILED and TOLD_TO_STOP.is_set():  # whoever sent it wants no restart
        return TERMINATED
    done, allowed = int(os.environ.get(RESTARTS_DONE, 0)), int(os.environ.get("MAX_RESTARTS", 0))
    if status == FAILED and done < allowed:
        print(f"restart {done + 1} of {allowed} in {PAUSE_BEFORE_RESTART_S:.0f} seconds", flush=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(PAUSE_BEFORE_RESTART_S)
        os.environ[RESTARTS_DONE] = str(done + 1)
        os.execv(sys.executable, sys.orig_argv)  # a clean process under the same id, so that signals still reach it
    return status


def _interrupt(*_: Any) -> None:
    """Ctrl-C once; the ending takes seconds, in which a second one would only break it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(config: DictConfig) -> int:
    from recipe.g2rl.checks.check_run import check_run  # after Hydra: --help answers at once

    config = with_defaults(config)
    dry_run = os.environ.get("DRY_RUN") == "1"
    try:
        report = check_run(config, everything=not dry_run)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTINGS
    if dry_run:
        print(OmegaConf.to_yaml(config, resolve=True))
    print(*report.notes, *(f"warning: {warning}" for warning in report.warnings), sep="\n", flush=True)
    if dry_run:
        return FINISHED

    make_paths_absolute(config)
    OmegaConf.resolve(config)  # Hydra's own values are known in this process only
    run_dir = Path(config.run_dir)
    if RESTARTS_DONE in os.environ and by_step(Path(config.trainer.default_local_dir)):
        config.trainer.resume_mode = "auto"  # wherever the first start began
    with ExitStack() as stack:
        try:
            stack.enter_context(only_run_in(run_dir))
            changes = check_run_dir(config)
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            return WRONG_SETTINGS
        if is_finished(config):
            steps = config.trainer.total_training_steps
            print(f"{run_dir} has all {steps} steps; to go on, raise trainer.total_training_steps")
            return FINISHED
        print(*changes, sep="\n", end="\n" if changes else "", flush=True)
        with atomic_file(run_dir / TABLE_FILE) as file:
            file.write_text("\n".join([report.table, *report.warnings, ""]))
        print(f"memory and disk in {run_dir / TABLE_FILE}", flush=True)
        write_run_dir(config)
        return _train(config, run_dir)


def _train(config: DictConfig, run_dir: Path) -> int:
    from recipe.g2rl.driver.summary import summarize
    from recipe.g2rl.driver.watchdog import Watchdog

    start = time.monotonic()
    with Watchdog(), Console(run_dir / LOG_FILE) as console:
        console.show(f"everything is logged in {run_dir / LOG_FILE}")
        console.show("starting Ray")
        try:
            terminated = run_trainer(config)
        except KeyboardInterrupt:
            console.show("interrupted; start it again with the same run_dir to go on from the last checkpoint")
            return INTERRUPTED
        except Exception as error:
            traceback.print_exc()
            console.show(f"error: {in_one_line(error, _end_of(run_dir / LOG_FILE, console.start))}")
            console.show(f"the traceback is in {run_dir / LOG_FILE}")
            return WRONG_SETTINGS if isinstance(error, WrongCluster) else FAILED
        finally:
            ray.shutdown()
    if terminated:
        print("ended by SIGTERM; start it again with the same run_dir to go on from the checkpoint")
        return TERMINATED
    print(summarize(run_dir, Path(config.trainer.default_local_dir), time.monotonic() - start))
    return FINISHED


def _end_of(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - SHOWN_LOG_BYTES))
        return file.read().decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
