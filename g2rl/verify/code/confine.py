"""Takes a process's rights away, with the standard library only: the sandbox's interpreter need have no packages.

The calls are Linux's prctl, capset, seccomp and Landlock, through ctypes.
"""

import ctypes
import os
import resource
import struct
import sysconfig

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
_SIGKILL, _SECCOMP_MODE_FILTER, _LAST_CAPABILITY = 9, 2, 63
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same numbers on every architecture
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = ((5, 0xFFFF), (3, 0x7FFF), (2, 0x3FFF), (1, 0x1FFF))  # Landlock's version -> the rights it can refuse


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def _call(function, *arguments):
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _prctl(option, first, second=0):
    _call(_libc.prctl, option, first, second, 0, 0)


def die_with(parent):
    """SIGKILL for this process when the thread that started it ends. Already gone (pid `parent`): ends here."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def set_dumpable(dumpable):
    """Processes of the same user can look into a dumpable one, and only such a one can open its own /proc/self/fd."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def drop_privileges():
    """No capabilities, for ever: root stays uid 0 and has an ordinary user's rights. Setuid programs change nothing."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails without the privilege to give up
    header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _call(_libc.capset, header, bytes(24))


def set_limits(cpu_s, memory_bytes, output_bytes):
    for kind, limit in (
        (resource.RLIMIT_CPU, int(cpu_s) + 2),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, output_bytes),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))


def landlock_version():
    """The kernel's, 0 where it has no Landlock."""
    return max(0, _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def landlock_rules():
    """A descriptor of rules: read what the interpreter and its libraries need, and nothing else that Landlock knows."""
    version = landlock_version()
    rights = next(rights for since, rights in _FILE_RIGHTS if version >= since)
    network = 0b11 if version >= 4 else 0  # TCP
    scopes = 0b11 if version >= 6 else 0  # abstract Unix sockets and signals
    attributes = struct.pack("QQQ", rights, network, scopes)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = _call(_libc.syscall, _LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    for path in readable_paths():
        allowed = _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        _call(_libc.syscall, _LANDLOCK_ADD, rules, 1, struct.pack("=Qi", allowed, descriptor), 0)
        os.close(descriptor)
    return rules


def readable_paths():
    """What a program may read: the libraries of the interpreter and of the system, nothing of the user's."""
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    system = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
    paths = libraries | {sysconfig.get_config_var("LIBDIR"), *system, "/dev/null", "/dev/urandom"}
    return sorted(path for path in paths if path and os.path.exists(path))


def enter_landlock(rules):
    _call(_libc.syscall, _LANDLOCK_RESTRICT, rules, 0)


def enter_seccomp(instructions):
    """From here on, what the BPF filter (`isolation.seccomp_filter`) does not let through fails."""
    program = _Filter(len(instructions) // 8, instructions)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))
