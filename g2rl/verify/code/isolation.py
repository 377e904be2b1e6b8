"""What confines programs on this machine, and the filter of system calls."""

import errno
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from g2rl.verify.code import confine
from g2rl.verify.code.code_settings import CodeSettings

FOLDER = Path(__file__).parent

# Whatever is not named here fails with EPERM: fork, exec, kill, socket, ptrace, rename, unlink, mount, bpf and so on.
_ALLOWED = """
    read readv pread64 preadv write writev pwrite64 pwritev lseek close close_range dup dup2 dup3 pipe pipe2
    stat lstat fstat newfstatat statx access faccessat faccessat2 readlink readlinkat getdents64 getcwd fadvise64
    brk mmap munmap mremap mprotect madvise
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage alarm setitimer getitimer
    futex set_robust_list get_robust_list rseq set_tid_address sched_yield sched_getaffinity exit exit_group
    select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 recvfrom shutdown
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack pause
    restart_syscall getpid getppid gettid getuid geteuid getgid getegid getgroups getpgrp uname sysinfo getrlimit
    getrandom arch_prctl
"""
_ABSENT = "clone3 openat2"  # glibc then takes the older call, whose arguments a filter can see


def seccomp_filter() -> bytes:
    """The BPF instructions of the filter for this machine's architecture; a call of another architecture kills."""
    import pyseccomp as seccomp

    machine = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    machine.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    machine.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)  # a tree: every test loads the filter anew

    def rule(action: int, names: str, *conditions: object) -> None:
        for name in names.split():
            number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, name)
            if number >= 0:  # else this architecture has no call of that name
                machine.add_rule(action, number, *conditions)

    def bits(argument: int, mask: int, value: int) -> object:
        return seccomp.Arg(argument, seccomp.MASKED_EQ, mask, value)

    def equal(argument: int, value: int) -> object:
        return seccomp.Arg(argument, seccomp.EQ, value)

    rule(seccomp.ALLOW, _ALLOWED)
    rule(seccomp.ERRNO(errno.ENOSYS), _ABSENT)
    temporary_file = os.O_TMPFILE & ~os.O_DIRECTORY
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | temporary_file
    rule(seccomp.ALLOW, "open", bits(1, writing, 0))
    rule(seccomp.ALLOW, "openat", bits(2, writing, 0))
    thread, namespaces = 0x10000, 0x7E020000  # CLONE_THREAD; CLONE_NEW*
    rule(seccomp.ALLOW, "clone", bits(0, thread | namespaces, thread))
    # Neither F_SETOWN nor FIOASYNC: with them the kernel sends signals on a program's behalf.
    for command in (0, 1, 2, 3, 4, 1030, 1034):  # F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_DUPFD_CLOEXEC F_GET_SEALS
        rule(seccomp.ALLOW, "fcntl", equal(1, command))
    for command in (0x5401, 0x541B, 0x5421, 0x5451):  # TCGETS FIONREAD FIONBIO FIOCLEX
        rule(seccomp.ALLOW, "ioctl", equal(1, command))
    # asyncio wakes itself through a pair of stream sockets. Nothing can be sent to an address.
    rule(seccomp.ALLOW, "socketpair", equal(0, 1), bits(1, 0xF, 1))
    rule(seccomp.ALLOW, "sendto", equal(4, 0))
    # Contest programs raise their stack: that seems to succeed and changes nothing.
    rule(seccomp.ALLOW, "prlimit64", equal(0, 0), equal(2, 0))
    rule(seccomp.ERRNO(0), "prlimit64", seccomp.Arg(2, seccomp.NE, 0))
    rule(seccomp.ERRNO(0), "setrlimit")
    with tempfile.TemporaryFile() as file:
        machine.export_bpf(file)
        file.seek(0)
        return file.read()


@dataclass(frozen=True)
class Confinement:
    """How the sandbox is started. name: what to call it. command: what comes in front of the interpreter."""

    name: str
    seccomp: bytes = b""
    landlock: bool = False
    command: tuple[str, ...] = ()


def interpreter(settings: CodeSettings) -> str:
    """The path of the interpreter that runs programs. ValueError where there is none."""
    path = shutil.which(name := settings.python or sys.executable)
    if path is None:
        raise ValueError(f"reward.reward_kwargs.code.python: there is no interpreter {name!r}.")
    return path


def confinement(settings: CodeSettings) -> Confinement:
    """The confinement that `settings` ask for.

    Raises:
        ValueError: this machine does not have it; says why and what to do.
    """
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise ValueError("programs that a model wrote are run on Linux only, on x86-64 or aarch64.")
    if settings.isolation == "none":
        return Confinement("nothing but limits (isolation=none)")
    try:
        instructions = seccomp_filter()
    except (ImportError, RuntimeError) as error:
        raise ValueError(
            f"programs that a model wrote would run unconfined here: {error}. Install pyseccomp and the library "
            "libseccomp2, or set isolation=none (in a run reward.reward_kwargs.code.isolation)."
        ) from error
    if settings.isolation == "seccomp":
        return Confinement("seccomp alone, which does not keep them from reading files", instructions)
    version = confine.landlock_version()
    if version:
        return Confinement(f"seccomp and Landlock {version}", instructions, landlock=True)
    problem = "it is not installed"
    if bwrap := shutil.which("bwrap"):
        command = _bubblewrap(bwrap, interpreter(settings))
        trial = subprocess.run([*command, "/bin/true"], capture_output=True, text=True)
        if trial.returncode == 0:
            return Confinement("seccomp and bubblewrap", instructions, command=command)
        problem = trial.stderr.strip()
    raise ValueError(
        "programs that a model wrote would run unconfined here: this kernel has no Landlock and bubblewrap does not "
        f"start ({problem}). Install bubblewrap or a kernel from 5.13 on; or set isolation=seccomp (in a run "
        "reward.reward_kwargs.code.isolation; they can then read what you can read, but write, send and start "
        "nothing), or =none."
    )


def _bubblewrap(bwrap: str, python: str) -> tuple[str, ...]:
    """bwrap's command line: the system's and the interpreter's files to read, no network, processes of its own."""
    # Not what is in sys.path, which names folders of the user's.
    ask = (
        f"import json, sys; sys.path.insert(0, {str(FOLDER)!r}); import confine; "
        "print(json.dumps([sys.prefix, sys.base_prefix, *confine.readable_paths()]))"
    )
    folders = json.loads(subprocess.run([python, "-I", "-c", ask], capture_output=True, check=True).stdout)
    command = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--chdir", "/"]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for path in ("/usr", "/bin", *folders, str(FOLDER)):
        command += ["--ro-bind-try", path, path]
    return tuple(command)
