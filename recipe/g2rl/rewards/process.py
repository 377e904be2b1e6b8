"""A process that a reward function of the user's runs in: `python -m recipe.g2rl.rewards.process FD PATH NAME MB`.

It says when the function is loaded, then answers each call with what the function returned or its traceback. The kernel
ends it with its parent.
"""

import asyncio
import ctypes
import importlib.util
import inspect
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

_PR_SET_PDEATHSIG = 1


def load(path: str, name: str) -> Callable[..., Any]:
    """The function `name` of a file, or of a module that `pkg://` names, as verl finds it; without importing verl."""
    if path.startswith("pkg://"):
        module = importlib.import_module(path.removeprefix("pkg://"))
    else:
        file = Path(path.removeprefix("file://")).expanduser()
        specification = importlib.util.spec_from_file_location(file.stem, file)
        assert specification is not None and specification.loader is not None, f"{path} is no Python file"
        module = importlib.util.module_from_spec(specification)
        sys.modules[file.stem] = module  # for what is pickled
        specification.loader.exec_module(module)
    return getattr(module, name)


def main(connection: Connection, path: str, name: str, memory_mb: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        function = load(path, name)
    except BaseException:
        connection.send(("failed", traceback.format_exc()))
        return
    limit = psutil.Process().memory_info().vms + (memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    connection.send(("loaded", inspect.iscoroutinefunction(function)))
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        try:
            result = function(**arguments)
            connection.send(("returned", asyncio.run(result) if inspect.iscoroutine(result) else result))
        except BaseException:  # also SystemExit, which a function may raise
            connection.send(("raised", traceback.format_exc()))


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])), sys.argv[2], sys.argv[3], int(sys.argv[4]))
    os._exit(0)
