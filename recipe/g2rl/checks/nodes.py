"""The nodes of a Ray cluster as a run needs them: enough of them, alike, and with the same files in sight.

A run looks once Ray is up and before anything is placed; `python -m recipe.g2rl.checks` looks at a Ray that is up.
"""

import os
import platform
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ray
from omegaconf import DictConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from g2rl.verify.code import CodeSettings, probe
from recipe.g2rl.checks import environment
from recipe.g2rl.saving.run_log import report
from recipe.g2rl.settings.config import cpus_reserved, data_files, standalone_devices, trainer_devices
from recipe.g2rl.settings.reward import reward_settings

WAIT_FOR_NODES_S = 600.0


def wait_for_nodes(nodes: int, gpus: int, standalone: int = 0, timeout_s: float = WAIT_FOR_NODES_S) -> None:
    """Until the Ray cluster has as many nodes with as many GPUs (logical ones on a CPU) as the run is set up for.

    `standalone` GPUs come on top of nodes x gpus, wherever they are.

    Raises:
        RuntimeError: it has not, after `timeout_s`.
    """
    deadline, told = time.monotonic() + timeout_s, (-1, -1)
    apart = f" and {standalone} GPUs for the rollout" if standalone else ""
    while True:
        alive = _alive()
        ready, found = _with_gpus(alive, gpus), _gpus(alive)
        if ready >= nodes and found >= nodes * gpus + standalone:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"after {timeout_s:.0f} s Ray has {ready} nodes with {gpus} GPUs, {found} GPUs in all, and the run "
                f"needs trainer.nnodes={nodes}{apart}; start Ray on the others, or set trainer.nnodes."
            )
        if (ready, found) != told:
            report(f"waiting for {nodes} nodes with {gpus} GPUs each{apart}; Ray has {ready}, with {found} GPUs in all")
            told = (ready, found)
        time.sleep(2)


def check_nodes(config: DictConfig, report: Callable[[str], None] = print) -> None:
    """Count nodes, GPUs and slots, and look at each node: versions, run folder, model, data, and the sandbox where
    rewards come from programs. Ray must be up.

    On a cluster of one node there is nothing to add to `preflight` but the count.

    Raises:
        ValueError: nodes or slots are missing, or one of them cannot see what it needs.
    """
    wanted, gpus = config.trainer.nnodes, config.trainer.n_gpus_per_node
    nodes = _alive()
    found, devices = _gpus(nodes), trainer_devices(config) + standalone_devices(config)
    if found < devices:
        raise ValueError(f"trainer and rollout are set up for {devices} GPUs and Ray has {found}; start more nodes.")
    fit = _with_gpus(nodes, gpus)
    if fit < wanted:
        raise ValueError(
            f"trainer.nnodes={wanted} x trainer.n_gpus_per_node={gpus}, but Ray has {fit} such nodes (of "
            f"{len(nodes)}); start the others or lower the setting."
        )
    slots = sum(node["Resources"].get("CPU", 0) for node in nodes)
    if slots < (needed := cpus_reserved(config)):
        raise ValueError(
            f"the cluster's {slots:.0f} CPU slots are fewer than the {needed} that verl will reserve; start Ray's "
            f"nodes with more (ray start --num-cpus=..., which need not be real cores)."
        )
    if len(nodes) == 1:
        return
    folder = Path(config.trainer.default_local_dir).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-by-every-node-{uuid.uuid4().hex}"
    mark.touch()
    try:
        files = [str(file) for file in _files_needed(config)]
        code = reward_settings(config).code_settings if config.get("runs_programs") else None
        views = ray.get([_seen_from(node["NodeID"], str(mark), files, code) for node in nodes])
    finally:
        mark.unlink()
    mine = [node["NodeID"] for node in nodes].index(ray.get_runtime_context().get_node_id())
    refuse_unlike(views, views[mine]["versions"], folder)
    report(f"{len(nodes)} nodes for {wanted}: same versions, and each sees the run's folder, the model and the data")


def refuse_unlike(views: list[dict[str, Any]], here: dict[str, str], folder: Path) -> None:
    """
    Args:
        views: what `seen_here` returned on each node.
        here: the versions that it found on this one.

    Raises:
        ValueError: a node has other versions, or lacks something.
    """
    for view in views:
        host, there = view["host"], view["versions"]
        if there != here:
            name = next(name for name in {**here, **there} if here.get(name) != there.get(name))
            raise ValueError(
                f"node {host} has {name} {there.get(name, 'missing')} and this one {here.get(name, 'none')}; install "
                f"the same on every node."
            )
        if not view["sees_mark"]:
            raise ValueError(
                f"node {host} does not see {folder}; put run_dir on a file system that all nodes share (ranks write "
                f"and read parts of the same checkpoint)."
            )
        if view["unreadable"]:
            raise ValueError(f"node {host} cannot read {view['unreadable'][0]}; put it where every node finds it.")
        if view["no_sandbox"]:
            raise ValueError(f"node {host}: {view['no_sandbox']}")


def refuse_another_run() -> None:
    """
    Raises:
        RuntimeError: another run of verl is on this Ray.
    """
    try:
        ray.get_actor("TransferQueueController", namespace="transfer_queue")
    except ValueError:
        return
    raise RuntimeError(
        "another run of verl uses this Ray, and TransferQueue would mix their samples; wait for its end, or give this "
        "one a Ray of its own (ray_kwargs.ray_init.address=local)."
    )


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _gpus(nodes: list[dict[str, Any]]) -> int:
    return int(sum(node["Resources"].get("GPU", 0) for node in nodes))


def _with_gpus(nodes: list[dict[str, Any]], gpus: int) -> int:
    """How many nodes have at least so many GPUs, logical ones on a CPU."""
    return sum(node["Resources"].get("GPU", 0) >= gpus for node in nodes)


def _seen_from(node_id: str, mark: str, files: list[str], code: CodeSettings | None) -> Any:
    task: Any = ray.remote(num_cpus=0)(seen_here)
    on_node = task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False))
    return on_node.remote(mark, files, code)


def seen_here(mark: str, files: list[str], code: CodeSettings | None) -> dict[str, Any]:
    """The versions and files that the node on which this runs has, and with `code` why programs cannot be run on it."""
    no_sandbox = ""
    if code:
        try:
            probe(code)
        except ValueError as error:
            no_sandbox = str(error)
    return {
        "host": platform.node(),
        "versions": environment.installed(),
        "sees_mark": Path(mark).exists(),
        "unreadable": [file for file in files if not os.access(file, os.R_OK)],
        "no_sandbox": no_sandbox,
    }


def _files_needed(config: DictConfig) -> Iterable[Path]:
    """The model's files, where it is a folder, and the data, where it is local."""
    model = Path(config.actor_rollout_ref.model.path).expanduser()
    if model.is_dir():
        yield from sorted(file for file in model.absolute().iterdir() if file.is_file())
    for setting in ("train_files", "val_files"):
        yield from (path.absolute() for path in data_files(config, setting))
