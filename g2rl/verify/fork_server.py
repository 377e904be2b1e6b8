"""The processes behind `VerifierPool`: one server that imports sympy once, and the workers it forks.

Run as `python -m g2rl.verify.fork_server FD BYTES`: a socket, and the address space that a worker may have. The server
has one thread and no state, so a fork of it is safe and takes milliseconds, where a fresh interpreter takes seconds to
import sympy; and nothing of the caller (torch, Ray, its main script) is loaded in a worker, whichever process the pool
lives in.

Nobody outlives the pool's process, also when that is killed: the server ends when its socket closes or its parent is
gone, and the kernel kills the workers with the server (PR_SET_PDEATHSIG), even in the middle of a computation.
"""

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
from multiprocessing.connection import Connection

from g2rl.verify import symbolic
from g2rl.verify.code import confine

_PARENT_CHECK_S = 1.0


def serve(control: socket.socket, memory_bytes: int) -> None:
    """Fork one worker for every connection that arrives on `control`, until it closes."""
    parent = os.getppid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # dead workers are reaped by the kernel
    symbolic.warm_up()
    gc.freeze()
    server = os.getpid()
    while os.getppid() == parent:
        if not select.select([control], [], [], _PARENT_CHECK_S)[0]:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            confine.die_with(server)
            control.close()
            work(Connection(descriptors[0]), memory_bytes)
            os._exit(0)
        os.close(descriptors[0])


def work(connection: Connection, memory_bytes: int) -> None:
    """Answer each (gold, answer) that comes in, in normal form, with `symbolic.equal` of them.

    Ends when memory runs out or the caller is gone.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    connection.send(os.getpid())
    with contextlib.suppress(MemoryError, EOFError, BrokenPipeError):
        while True:
            connection.send(symbolic.equal(*connection.recv()))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), memory_bytes=int(sys.argv[2]))
