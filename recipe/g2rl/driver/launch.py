"""From a checked configuration to verl's `run_ppo`: Ray, the task runner, and the signals that end a run early."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import ray
from omegaconf import DictConfig, OmegaConf

from recipe.g2rl.checks.nodes import check_nodes, refuse_another_run, wait_for_nodes
from recipe.g2rl.driver.monitor import Monitor
from recipe.g2rl.driver.watchdog import RUN_ID
from recipe.g2rl.errors.one_line import ProcessLost, WrongCluster, says_nothing
from recipe.g2rl.saving.checkpoint_files import STOP_FILE
from recipe.g2rl.saving.run_log import report
from recipe.g2rl.settings.config import OWN_MODE, standalone_devices, trainer_mode

TOLD_TO_STOP = threading.Event()  # by SIGTERM


def run_trainer(config: DictConfig) -> bool:
    """verl's `run_ppo` with a task runner that knows our trainers.

    Returns:
        Whether SIGTERM ended it before its last step.

    Raises:
        ProcessLost: a process of the run was lost.
        WrongCluster: the Ray that it joined is not what the settings are for.
        Exception: whatever was raised in the trainer.
    """
    from verl.trainer.main_ppo import run_ppo
    from verl.utils.device import auto_set_device

    runner = _Runner(config)
    auto_set_device(config)
    config.trainer.v1.trainer_mode = OWN_MODE + trainer_mode(config)  # as recipe.g2rl.trainer registers them
    # Ray's workers inherit it from a Ray that this process starts, but not from a cluster that it joins.
    OmegaConf.update(config, f"ray_kwargs.ray_init.runtime_env.env_vars.{RUN_ID}", os.environ[RUN_ID], force_add=True)
    try:
        run_ppo(config, task_runner_class=runner)
    except KeyboardInterrupt:
        if runner.monitor.found:
            raise ProcessLost(runner.monitor.found) from None
        raise
    except Exception as error:
        if lost := runner.monitor.lost(soon=says_nothing(error)):  # whatever the trainer made of it
            raise ProcessLost(lost) from error
        raise
    finally:
        runner.monitor.stop()
    return TOLD_TO_STOP.is_set() and not runner.stop_file.exists()


class _Runner:
    """Stands in for verl's task runner class, of which `run_ppo` makes an actor by `options(...).remote()`.

    It does so as soon as Ray is up, in the main thread: the moment for signals, the monitor and a look at the nodes.
    """

    def __init__(self, config: DictConfig) -> None:
        self.config = config
        self.stop_file = Path(config.run_dir) / STOP_FILE
        self.monitor = Monitor()
        self._options: dict[str, Any] = {}

    def options(self, **options: Any) -> "_Runner":
        self._options = options
        return self

    def remote(self) -> Any:
        # Now, since `ray.init` sets a handler of its own, which ends the driver at once.
        signal.signal(signal.SIGTERM, self._terminate)
        self.monitor.start()
        refuse_another_run()
        trainer = self.config.trainer
        wait_for_nodes(trainer.nnodes, trainer.n_gpus_per_node, standalone_devices(self.config))
        try:
            check_nodes(self.config, report)
        except ValueError as error:
            raise WrongCluster(str(error)) from error
        return ray.remote(_task_runner()).options(**self._options).remote()

    def _terminate(self, *_: Any) -> None:
        # A file reaches the trainer on whatever node it is, in the middle of whatever it does.
        self.stop_file.touch()
        TOLD_TO_STOP.set()


def _task_runner() -> type:
    from verl.trainer.main_ppo import TaskRunnerV1

    class TaskRunner(TaskRunnerV1.__ray_actor_class__):  # type: ignore[name-defined, misc]
        def run(self, config: DictConfig) -> None:
            import recipe.g2rl.trainer  # noqa: F401  (registers the trainers in this process)

            super().run(config)

    return TaskRunner
