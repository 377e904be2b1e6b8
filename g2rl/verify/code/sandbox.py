"""The process that runs programs: a warm interpreter that forks one confined child for each test.

Started by `client.Sandbox` as `python -s sandbox.py FD`, perhaps by another interpreter than the trainer's: standard
library only, Python 3.9 or later. It has one thread and loads neither Ray nor torch, so forking it is safe and takes
a millisecond. A test is one message on socket FD, with four files that exist in memory only: the program's text, its
input, its output, and what it says beside that. Expected results never come here, and nothing of a program stays: what
it changes, it changes in its own child. The child is watched by its own CPU clock, so a busy machine is no time-out.
"""

# ruff: noqa: E402

import os

# `threading` and `random` ask to be called after every fork. That is a fifth of a test's time, and for nothing: this
# process has one thread, and `interpreter_of_its_own` seeds. So nobody can ask; it stands before they are imported.
os.register_at_fork = lambda **functions: None  # type: ignore[assignment]

import atexit
import builtins
import contextlib
import gc
import io
import json
import random
import signal
import socket
import sys
import threading
import time
import traceback
import types

import confine
import values

ERROR, MEMORY = 121, 122  # exit statuses of a child: an exception that nobody caught; one for lack of memory
PROGRAM = "<program>"  # the file name in tracebacks
_RECURSION_LIMIT, _INT_DIGITS, _THREAD_STACK = 50_000, 50_000, 8 << 20
_HEARTBEAT_S = 1.0
_WALL_PER_CPU = 3.0

# The names that LiveCodeBench puts in front of every program. Here they are builtins: in the program's own module they
# would have to be entered after each fork, which touches the memory of every one of them.
_MODULES = ["string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics",
            "itertools", "functools", "operator", "io", "sys", "json"]  # fmt: skip
PRELUDE = "\n".join([f"from {name} import *" for name in [*_MODULES, "typing"]] + [f"import {n}" for n in _MODULES])


def enter_prelude():
    names: dict = {}
    exec(PRELUDE, names)
    vars(builtins).update({name: value for name, value in names.items() if not hasattr(builtins, name)})


def serve(control, setup):
    """Run tests as they come, until the socket closes."""
    rules = confine.landlock_rules() if setup["landlock"] else None
    instructions = bytes.fromhex(setup["seccomp"])
    enter_prelude()
    compile("0", PROGRAM, "exec")  # the first call in a process makes the syntax tree's classes: a millisecond
    confine.set_dumpable(False)
    confine.drop_privileges()
    threading.stack_size(_THREAD_STACK)  # else every thread reserves RLIMIT_STACK of the address space
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # `watch` waits for it
    gc.freeze()
    server = os.getpid()
    control.send(b"ready")
    while True:
        message, files, _, _ = socket.recv_fds(control, 1 << 16, 4)
        if not message:
            return
        task = json.loads(message)
        if task["numpy"] and "numpy" not in sys.modules:
            import_numpy()
        confined, confined_child = os.pipe()
        child = os.fork()
        if child == 0:
            live_and_die(server, task, files, confined_child, rules, instructions)
        for file in (*files, confined_child):
            os.close(file)
        outcome = watch(child, task["cpu_s"], control)
        outcome["confined"] = os.read(confined, 1) == b"1"
        os.close(confined)
        control.send(json.dumps(outcome).encode())


def import_numpy():
    """Once, for the children of this process. It makes each of them dearer, so only when a program names it."""
    with contextlib.suppress(ImportError):
        import numpy.random  # NumPy itself loads it late

        numpy.random.seed(0)
        gc.freeze()


def watch(child, cpu_s, control):
    """Wait for the child. Kill it when it has used its CPU seconds, or three times as many seconds with little work."""
    started, clock = time.monotonic(), (~child << 3) | 2  # Linux's number for the CPU clock of another process
    timeout = False
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            break
        cpu, wall = time.clock_gettime(clock), time.monotonic() - started
        timeout = cpu >= cpu_s or (wall >= _WALL_PER_CPU * cpu_s and wall - starved_s(child) >= _WALL_PER_CPU * cpu_s)
        if timeout:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            break
        if signal.sigtimedwait([signal.SIGCHLD], min(_HEARTBEAT_S, max(cpu_s - cpu, 0.005))) is None:
            control.send(b".")  # says that this process is alive
    cpu = usage.ru_utime + usage.ru_stime
    if timeout or cpu >= cpu_s:
        ended = "timeout"
    elif os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == MEMORY:
        ended = "crash"
    else:
        ended = "error" if os.WEXITSTATUS(status) == ERROR else "normal"
    return {"ended": ended, "cpu_s": cpu}


def starved_s(child):
    """Seconds in which the child could have run and had no core: the machine's fault, not the program's."""
    try:
        with open(f"/proc/{child}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:  # a kernel without these counts
        return 0.0


def live_and_die(server, task, files, confined, rules, instructions):
    """The child: confine, run the program, exit. It never returns, whatever the program does to the interpreter:
    what happens after the program's last line is bound to local names before its first one."""
    leave, status = os._exit, ERROR
    try:
        text = enter(server, task, files, confined, rules, instructions)
        status = run(text, task)
    except BaseException as error:
        status = report(error)
    finally:
        leave(status)


def enter(server, task, files, confined, rules, instructions):
    """Give up every right but to compute, and tell the server so. Returns the program's text."""
    confine.die_with(server)
    confine.set_dumpable(True)  # else an ordinary user's program cannot open /dev/stdin
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    if rules is not None:
        confine.enter_landlock(rules)
    source, stdin, output, noise = files
    text = os.pread(source, os.fstat(source).st_size, 0).decode("utf-8", "surrogatepass")
    # A call's result goes to descriptor 3, so that nothing that it prints comes in between.
    wanted = [stdin, noise, noise, output] if task["function"] else [stdin, output, noise]
    for target, file in enumerate(wanted):
        os.dup2(file, target)
    os.closerange(len(wanted), confined)
    os.closerange(confined + 1, confined + 64)
    confine.set_limits(task["cpu_s"], task["memory_bytes"], task["output_bytes"])
    if instructions:
        confine.enter_seccomp(instructions)
    os.write(confined, b"1")
    os.close(confined)
    return text


def run(text, task):
    """Run the program as Python would: until its threads have ended, its exit functions are called and its output is
    flushed. Returns the exit status of the child."""
    function, stopped, failed = task["function"], SystemExit, BaseException
    shutdown, exit_functions, io_base = threading._shutdown, atexit._run_exitfuncs, io.IOBase  # type: ignore[attr-defined]
    module = interpreter_of_its_own("solution" if function else "__main__")
    arguments = values.loads(sys.stdin.read()) if function else ()
    streams = [sys.stdout, sys.stderr]
    try:
        code = compile(text, PROGRAM, "exec", dont_inherit=True)
    except failed as error:
        report(error)
        return ERROR
    status = 0
    try:
        exec(code, module.__dict__)
        if function:
            os.write(3, result_of(module.__dict__, task, *arguments))
    except stopped:  # with any exit status, as in LiveCodeBench
        pass
    except failed as error:
        status = report(error)
    shutdown()
    exit_functions()
    for stream in [sys.stdout, *streams, *module.__dict__.values()]:
        try:
            if stream is sys.stdout or isinstance(stream, io_base):
                stream.flush()
        except failed:  # closed, or no stream at all
            pass
    return status


def interpreter_of_its_own(name):
    """What a program finds: fresh streams, a module of its own, the same random numbers."""
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.argv = ["main.py"]
    sys.setrecursionlimit(_RECURSION_LIMIT)
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(_INT_DIGITS)
    random.seed(0)
    module = types.ModuleType(name)
    module.__dict__.update(__file__="main.py", stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr)
    sys.modules[name] = module
    return module


def result_of(names, task, args, kwargs):
    function, solution = task["function"], names.get("Solution")
    target = getattr(solution(), function) if hasattr(solution, function) else names[function]
    result = target(*args, **kwargs)
    if task["truth"]:
        return values.dumps(bool(result)).encode()
    try:
        return values.dumps(result).encode()
    except TypeError as error:
        os.write(2, f"the result is no plain data: {error}".encode())
        return b""


def report(error):
    """Say on standard error what went wrong and where. Returns the exit status that stands for it."""
    try:
        lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if is_program(frame)]
        where = f" (line {lines[-1]})" if lines else ""
        os.write(2, f"\n{type(error).__name__}: {error}{where}".encode("utf-8", "backslashreplace")[:1000])
    finally:
        return MEMORY if isinstance(error, MemoryError) else ERROR  # noqa: B012  the error that matters is `error`


def is_program(frame):
    return frame.f_code.co_filename == PROGRAM


if __name__ == "__main__":
    del sys.path[0]  # this folder, for `confine` and `values`; a program may have modules of these names
    del sys.modules["confine"], sys.modules["values"]
    confine.die_with(os.getppid())
    inherited = int(sys.argv[1])
    channel = socket.socket(fileno=os.dup(inherited))
    os.close(inherited)
    serve(channel, json.loads(channel.recv(1 << 16)))
