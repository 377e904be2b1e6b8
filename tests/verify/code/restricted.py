"""`python restricted.py [--user UID] [--no-landlock] [--namespaces] COMMAND..`: a command as a container would run it.

Like docker's default profile it allows no namespaces, no mounts and no ptrace, and drops the capabilities of root with
them. --no-landlock is a kernel without Landlock, --namespaces a host that allows them. Where the interpreter lies in a
folder that only root can enter, an ordinary user sees it through a private mount.
"""

import argparse
import errno
import os
import subprocess
import sys

import pyseccomp as seccomp

parser = argparse.ArgumentParser()
parser.add_argument("--user", type=int)
parser.add_argument("--no-landlock", action="store_true")
parser.add_argument("--namespaces", action="store_true")
parser.add_argument("command", nargs=argparse.REMAINDER)
arguments = parser.parse_args()

home = os.path.expanduser("~root")
if arguments.user and sys.base_prefix.startswith(home):
    top = os.path.join(home, os.path.relpath(sys.base_prefix, home).split(os.sep)[0])
    if not hasattr(os, "unshare"):  # Python 3.12
        import ctypes

        assert ctypes.CDLL(None).unshare(0x20000) == 0  # CLONE_NEWNS
    else:
        os.unshare(os.CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", top, "/mnt"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", home], check=True)
    os.mkdir(top)
    subprocess.run(["mount", "--bind", "/mnt", top], check=True)
    subprocess.run(["umount", "/mnt"], check=True)
if arguments.user:
    os.setgroups([])
    os.setgid(arguments.user)
    os.setuid(arguments.user)

rules = seccomp.SyscallFilter(seccomp.ALLOW)
refused = [] if arguments.namespaces else ["unshare", "setns", "mount", "umount2", "pivot_root", "open_tree", "fsopen"]
refused += ["bpf", "perf_event_open", "keyctl", "add_key", "request_key", "io_uring_setup", "userfaultfd", "ptrace"]
refused += ["landlock_create_ruleset"] if arguments.no_landlock else []
for name in refused:
    number = 444 if name == "landlock_create_ruleset" else name  # libseccomp 2.5.3 does not know it
    rules.add_rule(seccomp.ERRNO(errno.EPERM), number)
if not arguments.namespaces:
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):  # CLONE_NEW*
        rules.add_rule(seccomp.ERRNO(errno.EPERM), "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
rules.load()
os.execvp(arguments.command[0], arguments.command)
