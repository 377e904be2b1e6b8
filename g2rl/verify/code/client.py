"""The trainer's side of a sandbox: starts `sandbox.py`, hands it tests, and starts it again when it is gone."""

import fcntl
import json
import os
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from g2rl.verify.code.code_settings import CodeSettings
from g2rl.verify.code.isolation import FOLDER, Confinement, confinement, interpreter

_SILENCE_S = 60.0  # a living server says something every second
_STACK_KIB = 512 << 10  # deep recursion is no crash; must be set before the interpreter starts
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # sets in the same order every time
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_NOISE_BYTES = 1000


@dataclass(frozen=True)
class Run:
    """How one test ended.

    ended:  "normal", also for sys.exit with any status; "error": an exception; "crash": a signal, or no
            memory; "timeout".
    output: what it printed, or for a call the text of its result; None where that is longer than was allowed.
    noise:  the end of what it wrote to standard error.
    """

    ended: Literal["normal", "error", "crash", "timeout"]
    output: bytes | None
    noise: str
    cpu_s: float


class Sandbox:
    """One server process, which runs one test at a time. It belongs to the thread that makes it and ends with it.

    Raises:
        RuntimeError: the server does not start.
    """

    def __init__(self, settings: CodeSettings, confined: Confinement):
        self._settings, self._confinement = settings, confined
        try:
            self._start()
        except _Gone as error:
            raise RuntimeError(f"the sandbox of programs does not start: {error}") from error

    def run(
        self, program: str, stdin: str, cpu_s: float, max_output: int, function: str | None = None, truth: bool = False
    ) -> Run:
        """Run the program with `stdin`, or call its `function` with the arguments whose JSON text `stdin` is.

        truth: the result is only asked for its truth.

        Raises:
            RuntimeError: the server failed, twice in a row. This says nothing of the program.
        """
        task: dict[str, object] = {
            "function": function,
            "truth": truth,
            "numpy": "numpy" in program,
            "cpu_s": cpu_s,
            "memory_bytes": self._settings.memory_mb << 20,
            "output_bytes": self._settings.output_mb << 20,
        }
        try:
            return self._run(task, program, stdin, max_output)
        except _Gone:
            self.close()
            try:
                self._start()
                return self._run(task, program, stdin, max_output)
            except _Gone as error:
                raise RuntimeError(f"the sandbox of programs failed twice in a row: {error}") from error

    def close(self) -> None:
        self._control.close()
        self._process.kill()  # and the kernel the program that it may be running
        self._process.wait()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_SILENCE_S)
        python = [interpreter(self._settings), "-s", str(FOLDER / "sandbox.py"), str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f'ulimit -s {_STACK_KIB}; exec "$@"', "sh", *self._confinement.command, *python],
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the pool's process
            )
        setup = {"landlock": self._confinement.landlock, "seccomp": self._confinement.seccomp.hex()}
        try:
            self._control.send(json.dumps(setup).encode())
        except OSError as error:
            raise _Gone(str(error)) from error
        self._answer()

    def _run(self, task: dict[str, object], program: str, stdin: str, max_output: int) -> Run:
        with ExitStack() as stack:
            files = [_memory_file(text, stack) for text in (program, stdin, None, None)]
            try:
                socket.send_fds(self._control, [json.dumps(task).encode()], files)
            except OSError as error:
                raise _Gone(str(error)) from error
            answer = json.loads(self._answer())
            if not answer["confined"] and answer["ended"] != "timeout":
                raise _Gone("a program could not be confined")
            _, _, output, noise = files
            size = os.fstat(output).st_size
            return Run(
                ended=answer["ended"],
                output=os.pread(output, size, 0) if size <= max_output else None,
                noise=os.pread(noise, _NOISE_BYTES, max(0, os.fstat(noise).st_size - _NOISE_BYTES)).decode(
                    errors="replace"
                ),
                cpu_s=answer["cpu_s"],
            )

    def _answer(self) -> bytes:
        try:
            while (message := self._control.recv(1 << 16)) == b".":
                pass
        except TimeoutError as error:
            raise _Gone(f"it says nothing for {_SILENCE_S:g} s") from error
        except OSError as error:
            raise _Gone("it is dead") from error
        if not message:
            raise _Gone("it is dead")
        return message


class _Gone(Exception):
    """The server is dead, silent, or cannot confine."""


def _memory_file(text: str | None, stack: ExitStack) -> int:
    """A file in memory, which is gone when the stack closes. One with a text can only be read from then on."""
    file = os.memfd_create("g2rl", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    stack.callback(os.close, file)
    if text is None:
        fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    else:
        os.pwrite(file, text.encode("utf-8", "surrogatepass"), 0)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return file


_TRIAL = """
import os, platform, socket

def forks():
    if os.fork() == 0:
        os._exit(0)

attempts = {
    "write": lambda: open("/dev/null", "w"),
    "open a socket": socket.socket,
    "start a process": forks,
    "read the user's files": lambda: open("/etc/passwd"),
}
print(platform.python_version())
for what, attempt in attempts.items():
    try:
        attempt()
    except OSError:
        continue
    print(what)
"""


def probe(settings: CodeSettings | None = None) -> str:
    """Try the sandbox out and say in one line how programs run on this machine.

    Raises:
        ValueError: it cannot be had as `settings` want it; the message says why and what to do.
    """
    settings = settings or CodeSettings()
    confined = confinement(settings)
    try:
        sandbox = Sandbox(settings, confined)
        run = sandbox.run(_TRIAL, "", cpu_s=60.0, max_output=1000)
        sandbox.close()
    except RuntimeError as error:
        raise ValueError(f"programs cannot be run here with {interpreter(settings)}: {error}.") from error
    version, *possible = (run.output or b"").decode().splitlines() or [""]
    accepted = {"strict": [], "seccomp": ["read the user's files"]}.get(settings.isolation, possible)
    if run.ended != "normal" or possible != accepted:
        raise ValueError(
            f"programs cannot be run here with {confined.name}: a trial program could {', '.join(possible)} "
            f"and ended as {run.ended} {run.noise.strip()!r}."
        )
    return (
        f"programs run under {confined.name}, Python {version}, {settings.timeout_s:g} s of CPU and "
        f"{settings.memory_mb:,} MiB a test"
    )
