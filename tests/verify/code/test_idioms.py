"""51 ways to read n and then n integers and to print their sum. All are right; a judge that mocks input calls many wrong."""

# ruff: noqa: E501

import json

import pytest

from g2rl.verify.code import CodePool, CodeSettings

NUMBERS = [(3, "1 2 3", 6), (4, "10 -20 30 5", 25)]
GROUND_TRUTH = json.dumps(
    {"tests": [{"stdin": f"{n}\n{line}\n", "stdout": f"{total}\n"} for n, line, total in NUMBERS]}
)

# After each of these `a` is the list of n integers.
READING = {
    "input": "n = int(input()); a = list(map(int, input().split()))",
    "stdin.readline": "import sys\nn = int(sys.stdin.readline()); a = list(map(int, sys.stdin.readline().split()))",
    "input is stdin.readline": "import sys\ninput = sys.stdin.readline\nn = int(input()); a = [int(x) for x in input().split()]",
    "input is a lambda": "import sys\ninput = lambda: sys.stdin.readline().rstrip('\\r\\n')\ninput(); a = list(map(int, input().split()))",
    "stdin.read": "import sys\nn, *a = map(int, sys.stdin.read().split())",
    "stdin.read in pieces": "import sys\nn = int(sys.stdin.read(1)); a = list(map(int, sys.stdin.read().split()))",
    "stdin.readlines": "import sys\nlines = sys.stdin.readlines(); a = list(map(int, lines[1].split()))",
    "for line in stdin": "import sys\nrows = [line.split() for line in sys.stdin]; a = list(map(int, rows[1]))",
    "next of stdin": "import sys\nnext(sys.stdin); a = list(map(int, next(sys.stdin).split()))",
    "enumerate stdin": "import sys\nfor i, line in enumerate(sys.stdin):\n    if i == 1: a = list(map(int, line.split()))",
    "iterator of words": "import sys\nit = iter(sys.stdin.read().split()); n = int(next(it)); a = [int(next(it)) for _ in range(n)]",
    "buffer.read": "import sys\nn, *a = map(int, sys.stdin.buffer.read().split())",
    "buffer.readline": "import sys\nr = sys.stdin.buffer.readline\nn = int(r()); a = list(map(int, r().split()))",
    "buffer.readlines": "import sys\na = list(map(int, sys.stdin.buffer.readlines()[1].split()))",
    "for line in buffer": "import sys\na = [list(map(int, line.split())) for line in sys.stdin.buffer][1]",
    "input, then read": "import sys\nn = int(input()); a = list(map(int, sys.stdin.read().split()))",
    "input, then for": "import sys\nn = int(input())\nfor line in sys.stdin: a = list(map(int, line.split()))",
    "open(0)": "n, *a = map(int, open(0).read().split())",
    "open(0) in lines": "lines = list(open(0)); a = list(map(int, lines[1].split()))",
    "open(0, 'rb')": "n, *a = map(int, open(0, 'rb').read().split())",
    "open('/dev/stdin')": "with open('/dev/stdin') as file: n, *a = map(int, file.read().split())",
    "os.read": "import os\nn, *a = map(int, os.read(0, 10**7).split())",
    "os.read by size": "import os\nn, *a = map(int, os.read(0, os.fstat(0).st_size).split())",
    "os.fdopen": "import os\nn, *a = map(int, os.fdopen(0).read().split())",
    "BytesIO of os.read": "import io, os\nr = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\nr(); a = list(map(int, r().split()))",
    "mmap": "import mmap\nn, *a = map(int, mmap.mmap(0, 0, access=mmap.ACCESS_READ).read().split())",
    "fileinput": "import fileinput\na = [list(map(int, line.split())) for line in fileinput.input()][1]",
    "EOFError ends it": "rows = []\ntry:\n    while True: rows.append(input())\nexcept EOFError: a = list(map(int, rows[1].split()))",
    "readline until empty": "import sys\nrows = []\nwhile line := sys.stdin.readline(): rows.append(line)\na = list(map(int, rows[1].split()))",
    "select, then read": "import select, sys\nassert select.select([sys.stdin], [], [], 1)[0]\nn, *a = map(int, sys.stdin.read().split())",
    "numpy": "import sys, numpy as np\na = np.array(sys.stdin.read().split(), dtype=np.int64)[1:]",
    "numpy.loadtxt": "import sys, numpy as np\na = np.loadtxt(sys.stdin, skiprows=1, dtype=int)",
}  # fmt: skip

# Whole programs: ways to print, to end and to be organised. {read} stands for the first way to read.
PRINTING = {
    "stdout.write": "import sys\n{read}\nsys.stdout.write(str(sum(a)) + '\\n')",
    "stdout.buffer.write": "import sys\n{read}\nsys.stdout.buffer.write(b'%d' % sum(a))",
    "os.write": "import os\n{read}\nos.write(1, b'%d\\n' % sum(a))",
    "print to a name kept before": "import sys\nout = sys.stdout\n{read}\nsys.stdout = None\nprint(sum(a), file=out)",
    "a file of descriptor 1, never flushed": "out = open(1, 'w')\n{read}\nout.write(str(sum(a)))",
    "atexit": "import atexit\n{read}\natexit.register(lambda: print(sum(a)))",
    "StringIO, printed at the end": "import io, sys\nold, sys.stdout = sys.stdout, io.StringIO()\n{read}\nprint(sum(a))\nold.write(sys.stdout.getvalue())",
    "PyRival's FastIO": """
import os, sys
from io import BytesIO, IOBase
class FastIO(IOBase):
    def __init__(self, file):
        self._fd, self.buffer, self.newlines = file.fileno(), BytesIO(), 0
        self.writable = 'x' in file.mode or 'r' not in file.mode
        self.write = self.buffer.write if self.writable else None
    def readline(self):
        while self.newlines == 0:
            b = os.read(self._fd, max(os.fstat(self._fd).st_size, 8192))
            self.newlines = b.count(b'\\n') + (not b)
            ptr = self.buffer.tell()
            self.buffer.seek(0, 2), self.buffer.write(b), self.buffer.seek(ptr)
        self.newlines -= 1
        return self.buffer.readline()
    def flush(self):
        if self.writable:
            os.write(self._fd, self.buffer.getvalue())
            self.buffer.truncate(0), self.buffer.seek(0)
class Wrapper(IOBase):
    def __init__(self, file):
        self.buffer = FastIO(file)
        self.flush, self.writable = self.buffer.flush, self.buffer.writable
        self.write = lambda s: self.buffer.write(s.encode('ascii'))
        self.readline = lambda: self.buffer.readline().decode('ascii')
sys.stdin, sys.stdout = Wrapper(sys.stdin), Wrapper(sys.stdout)
input = lambda: sys.stdin.readline().rstrip()
{read}
print(sum(a))""",
    "main behind the guard, code after it": "def main():\n    {read}\n    return sum(a)\nif __name__ == '__main__':\n    s = main()\nprint(s)",
    "sys.exit(0), then nothing": "import sys\n{read}\nprint(sum(a))\nsys.exit(0)\nprint('no')",
    "exit() in main": "def main():\n    {read}\n    print(sum(a)); exit()\nmain(); print('no')",
    "quit()": "{read}\nprint(sum(a)); quit()",
    "global": "total = 0\ndef add(x):\n    global total\n    total += x\n{read}\nfor x in a: add(x)\nprint(total)",
    "globals()": "{read}\nglobals()['s'] = sum(a)\nprint(s)",
    "class Solution": "class Solution:\n    def total(self, a): return sum(a)\n{read}\nprint(Solution().total(a))",
    "pickle of an own class": "import pickle\nclass P:\n    def __init__(self, x): self.x = x\n{read}\nprint(sum(p.x for p in pickle.loads(pickle.dumps([P(x) for x in a]))))",
    "dataclass and triple-quoted text": "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nT = '''\n{0}\n'''\n{read}\nprint(T.strip().format(sum(P(x).x for x in a)))".replace("{0}", "{{0}}"),
    "a thread with a large stack": "import sys, threading\nsys.setrecursionlimit(10**6); threading.stack_size(1 << 28)\ndef add(a): return a[0] + add(a[1:]) if a else 0\ndef main():\n    {read}\n    print(add(a))\nthreading.Thread(target=main).start()",
    "asyncio and a pool of threads": "import asyncio\nfrom concurrent.futures import ThreadPoolExecutor\nasync def main():\n    {read}\n    with ThreadPoolExecutor(4) as pool:\n        print(await asyncio.get_running_loop().run_in_executor(pool, sum, a))\nasyncio.run(main())",
}  # fmt: skip


def programs() -> dict[str, str]:
    read = READING["input"]
    return {name: f"{text}\nprint(sum(a))" for name, text in READING.items()} | {
        name: text.replace("{read}", read).replace("{{", "{").replace("}}", "}") for name, text in PRINTING.items()
    }


@pytest.fixture(scope="module")
def pool():
    with CodePool(2, CodeSettings(timeout_s=5)) as pool:
        yield pool


def test_there_are_51():
    assert len(programs()) == 51


@pytest.mark.parametrize("name", programs())
def test_is_right(pool, name):
    verdict = pool.submit(f"```python\n{programs()[name]}\n```", GROUND_TRUTH).result()
    assert verdict.correct, verdict


def test_another_sum_is_wrong(pool):
    for name, text in programs().items():
        wrong = text.replace("sum(", "1+sum(").replace("add(a)", "2+add(a)").replace("total += x", "total += 2 * x")
        if wrong != text and name != "asyncio and a pool of threads":
            assert not pool.submit(f"```python\n{wrong}\n```", GROUND_TRUTH).result().correct, name
