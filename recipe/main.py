"""Entry point: `python -m recipe.main exploration=g2rl model=... task=... hardware=... [any Hydra override]`.

The configuration is checked before Ray starts. `DRY_RUN=1` prints it and stops there.
"""

import os
import sys
import time
from pathlib import Path

import hydra
import ray
from omegaconf import DictConfig, OmegaConf

from recipe.progress import LOG_FILE, Console

RUN_ID = "G2RL_RUN_ID"


def main() -> int:
    """Exit status: 0 the run finished, 1 it failed, 2 its settings are wrong."""
    # Hydra's own message for an unknown setting or group is clear; its traceback adds nothing.
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    status = 0

    @hydra.main(config_path="../configs", config_name="trainer", version_base=None)
    def compose_and_run(config: DictConfig) -> None:
        nonlocal status
        status = _run(config)

    compose_and_run()
    return status


def _run(config: DictConfig) -> int:
    from recipe.config import validate  # after Hydra, so that --help and unknown settings answer at once

    try:
        validate(config)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if os.environ.get("DRY_RUN") == "1":
        print(OmegaConf.to_yaml(config, resolve=True))
        return 0

    OmegaConf.resolve(config)  # Hydra's own values are known in this process only
    run_dir = Path(config.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    return _train(config, run_dir)


def _train(config: DictConfig, run_dir: Path) -> int:
    from recipe.summary import summarize
    from recipe.watchdog import Watchdog

    start = time.monotonic()
    with Watchdog(), Console(run_dir / LOG_FILE) as console:
        console.show(f"everything is logged in {run_dir / LOG_FILE}")
        console.show("starting Ray")
        try:
            run_trainer(config)
        except KeyboardInterrupt:
            console.show("interrupted; start it again with the same run_dir to go on from the last checkpoint")
            return 130
        except Exception as error:
            console.show(f"error: {_root_cause(error)}")
            console.show(f"the whole story is in {run_dir / LOG_FILE}")
            return 1
        finally:
            ray.shutdown()
    print(summarize(run_dir, Path(config.trainer.default_local_dir), time.monotonic() - start))
    return 0


def run_trainer(config: DictConfig) -> None:
    """verl's `run_ppo` with a task runner that knows our trainers."""
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.utils.device import auto_set_device

    class TaskRunner(TaskRunnerV1.__ray_actor_class__):  # type: ignore[name-defined, misc]
        def run(self, config: DictConfig) -> None:
            import recipe.trainer  # noqa: F401  (registers the trainers in this process)

            super().run(config)

    auto_set_device(config)
    run_ppo(config, task_runner_class=ray.remote(TaskRunner))


def _root_cause(error: BaseException) -> str:
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[-1] if str(cause).strip() else ''}"


if __name__ == "__main__":
    sys.exit(main())
