"""Hostile programs: each has the outcome it must have, the next verdict is right, and nothing is left behind."""

# ruff: noqa: E501

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from g2rl.verify.code import CodePool, CodeSettings

TIMEOUT_S, HEIGHT = 2.0, 10**5  # filling the memory takes up to a second of it
SETTINGS = CodeSettings(timeout_s=TIMEOUT_S, memory_mb=1024, output_mb=1)
MARK = "left-by-a-program"  # in every name that a program tries to leave
SETUP = f"import ctypes, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\nP = '/tmp/{MARK}'\n"
RIGHT = "print(7)"

VARIABLES = {"PATH", "LANG", "PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"}  # of the environment
VARIABLES |= {"PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS"}
# name -> (program, the outcomes it may have). The expected output is 7, the input a line "1".
HOSTILE = {
    "1 endless loop": ("while True: pass", "timeout"),
    "2 sleep": ("import time; time.sleep(100)", "timeout"),
    "3 catches everything": ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", "timeout"),
    "4 ignores all signals": ("import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: pass", "timeout"),
    "5 bytearray(10**11)": ("bytearray(10**11)", "crash"),
    "6 growing list": ("a = [0] * 10**6\nwhile True: a += a", "crash"),
    "7 endless recursion": ("import sys; sys.setrecursionlimit(10**9)\ndef f(): f()\nf()", "timeout crash"),
    "8 fork bomb": ("import os\nwhile True: os.fork()", "error"),
    "9 daemon": ("import os\nif os.fork() == 0: os.setsid()", "error"),
    "10 subprocess": ("import subprocess; subprocess.run(['true'])", "error"),
    "11 os.system": (SETUP + "assert os.system('touch ' + P) != 0\nprint(7)", "right"),
    "12 multiprocessing": ("import multiprocessing as m; m.Process(target=print).start()", "error"),
    "13 open to write": (SETUP + "open(P, 'w')", "error"),
    "13b open to write in the working directory": (f"open('{MARK}', 'w')", "error"),
    "14 unlink": (SETUP + "os.unlink('/etc/hostname')", "error"),
    "14b rename": (SETUP + "os.rename('/etc/hostname', P)", "error"),
    "15 read /etc/passwd": ("open('/etc/passwd')", "error"),
    "15b read other files, list /etc": ("import os\nfor p in ('/etc/shadow', '/etc/hostname'):\n    try: open(p); print('read', p)\n    except OSError: pass\ntry: print(*{'passwd', 'hostname'} & set(os.listdir('/etc')))\nexcept OSError: pass\nprint(7)", "right"),
    "15c read this file": (f"open({__file__!r})", "error"),
    "16 own environment": (f"import os\nassert set(os.environ) <= {VARIABLES}, os.environ\nprint(7)", "right"),
    "16b the first process's": (f"try: found = open('/proc/1/environ').read()\nexcept OSError: found = ''  # bubblewrap's own can be read\nassert {{v.partition('=')[0] for v in found.split(chr(0)) if v}} <= {VARIABLES}\nprint(7)", "right"),
    "17 the server's environment": ("import os; open(f'/proc/{os.getppid()}/environ')", "error"),
    "18 TCP": ("import socket; socket.create_connection(('127.0.0.1', 80))", "error"),
    "19 kill the server": ("import os; os.kill(os.getppid(), 9)", "error"),
    "19b kill(-1)": ("import os; os.kill(-1, 9)", "error"),
    "20 ptrace, raw fork": (SETUP + "assert libc.ptrace(16, os.getppid(), 0, 0) == -1 and libc.syscall(57) == -1 and libc.syscall(58) == -1\nprint(7)", "right"),
    "21 segfault": ("import ctypes; ctypes.string_at(0)", "crash"),
    "21b abort": ("import os; os.abort()", "crash"),
    "22 endless print": ("while True: print('x' * 1000)", "error"),
    "23 endless stderr": ("import sys\nwhile True: sys.stderr.write('x' * 1000)", "error"),
    "24 bomb of threads": ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(100,)).start()", "error crash timeout"),
    "25 raises its limit": ("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\nbytearray(3 << 30)", "crash"),
    "26 memfd_create": ("import os; os.memfd_create('x')", "error"),
    "26b writes its input": ("import os; os.write(0, b'x')", "error"),
    "27 exit(0)": ("print(7); exit()", "right"),
    "27b sys.exit(3)": ("print(7); sys.exit(3)", "right"),
    "28 os._exit": ("import os; print(7); os._exit(0)", "wrong"),
    "29 an exception after the right output": ("print(7); 1 / 0", "error"),
    "30 reads past the end": ("input(); input()", "error"),
    "31 a thread prints after the main one": ("import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print(7))).start()", "right"),
    "32 recursion in a thread": (f"import sys, threading\nsys.setrecursionlimit(10**6); threading.stack_size(512 << 20)\ndef f(n): return n and f(n - 1)\nthreading.Thread(target=lambda: print(7 + f({HEIGHT}))).start()", "right"),
    "33 recursion": ("import sys; sys.setrecursionlimit(10**6)\ndef f(n): return n and f(n - 1)\nprint(7 + f(200_000))", "right"),
    "33b recursion through lru_cache": (f"import sys, functools; sys.setrecursionlimit(10**6)\n@functools.lru_cache(None)\ndef f(n): return n and f(n - 1)\nprint(7 + f({HEIGHT}))", "right" if sys.version_info < (3, 12) else "right error crash"),
    "34 NUL": ("print(7)\0", "wrong"),
    "34b syntax error": ("print(7", "error"),
    "35 no UTF-8": ("import sys; sys.stdout.buffer.write(b'7\\xff')", "wrong"),
    "36 atexit and a closed stdout": ("import atexit, sys\natexit.register(sys.stdout.close)\natexit.register(print, 7)", "right"),
    "37 replaces print and stdout": ("import builtins, io, sys, json\nbuiltins.print = lambda *a: None\nsys.stdout = io.StringIO()\njson.dumps = lambda *a, **k: '7'\nprint(7)", "wrong"),
    "38 looks for the expected output": ("import gc, sys\nframe, seen = sys._getframe(), []\nwhile frame: seen.append(frame.f_locals); frame = frame.f_back\nfor o in [*gc.get_objects(), *seen]:\n    if 'sev' + 'enteen' in repr(o): print('sev' + 'enteen'); break", "wrong error"),
    "41 256 KiB of brackets": ("(" * (255 << 10), "error"),
    "42 200,000 minus signs": ("x = " + "-" * 200_000 + "1", "error"),
    "42b nested lambdas": ("x = " + "lambda: " * 30_000 + "1", "error"),
    "43 catastrophic regular expression": ("import re; re.match(r'(a+)+$', 'a' * 60 + 'b')", "timeout"),
    "43b 9**9**9": ("x = 9; x = x ** x ** x", "timeout crash"),
    "43c endless exit function": ("import atexit\n@atexit.register\ndef f():\n    while True: pass\nprint(7)", "timeout"),
    "43d endless thread": ("import threading, time\ndef f():\n    while True: time.sleep(1)\nthreading.Thread(target=f).start()\nprint(7)", "timeout"),
    "43e own alarm": ("import signal\nsignal.signal(signal.SIGALRM, lambda *a: None); signal.alarm(1)\nwhile True: pass", "timeout"),
    "44 own timer": ("import signal; signal.setitimer(signal.ITIMER_PROF, 0.05)\nwhile True: pass", "crash"),
    "45 exec": ("import os; os.execv('/bin/true', ['true'])", "error"),
    "45b pty": ("import pty; pty.spawn('true')", "error"),
    "45c /dev/shm": (f"open('/dev/shm/{MARK}', 'w')", "error"),
    "45d /proc/self/mem": ("open('/proc/self/mem', 'r+b')", "error"),
    "46 raw calls that create": (SETUP + """
p = P.encode()
calls = [(437, -100, p, 0, 0), (425, 8, 0), (2, p, 0o102, 0o600), (257, -100, p, 0o102, 0o600), (85, p, 0o600), (83, p, 0o700),
         (258, -100, p, 0o700), (88, b'/etc', p), (266, b'/etc', -100, p), (133, p, 0o100600, 0), (41, 1, 1, 0), (53, 1, 2, 0, b' ' * 8)]
assert [libc.syscall(*c) for c in calls] == [-1] * len(calls) and not os.path.lexists(P)
print(7)""", "right"),
    "47 32-bit call": (SETUP + """
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, getpid; int 0x80; ret
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()""", "crash"),
    "48 deletes every builtin": ("import builtins\nfor n in list(vars(builtins)): delattr(builtins, n)\nprint(7)", "error"),
    "49 os._exit does nothing": ("import os; os._exit = lambda c: None\nprint(7)", "right"),
    "50 signals through fcntl": ("import fcntl, os; fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())", "error"),
    "51 a path behind sendto": ("import socket; a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)", "error"),
    "52 lifts its own death": (SETUP + "assert libc.prctl(1, 0, 0, 0, 0) == -1\nprint(7)", "right"),
}  # fmt: skip


def leftovers() -> set[str]:
    """Files and Unix sockets whose names the programs chose."""
    files = {str(path) for folder in ("/tmp", "/dev/shm", ".", "/") for path in Path(folder).glob(f"*{MARK}*")}
    return files | {f"socket {line}" for line in Path("/proc/net/unix").read_text().splitlines() if MARK in line}


@pytest.fixture(scope="module")
def pool():
    with CodePool(1, SETTINGS) as pool:
        yield pool


def outcome(pool: CodePool, program: str) -> str:
    ground_truth = json.dumps({"tests": [{"stdin": "1\n", "stdout": "7\n"}]})
    verdict = pool.submit(f"```python\n{program}\n```", ground_truth).result()
    return "right" if verdict.correct else verdict.failure or "wrong"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_program(pool, name):
    assert outcome(pool, RIGHT) == "right"
    server, descriptors = psutil.Process().children(recursive=True), len(os.listdir("/proc/self/fd"))
    program, allowed = HOSTILE[name]
    assert outcome(pool, program) in allowed.split()
    assert outcome(pool, RIGHT) == "right"
    assert psutil.Process().children(recursive=True) == server, "a process is left, or the server was lost"
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert leftovers() == set()
