"""`python -m g2rl.verify.code problem.json answer.md`: the verdict on one answer, test by test.

The problem is one JSON object with `tests` and perhaps `function`, `compare`, `tolerance`; what else it has is ignored.
Its exit status is 0 for a right answer. For a test that fails it shows the exception and its line.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from g2rl.verify.code.blocks import last_program
from g2rl.verify.code.client import Sandbox, probe
from g2rl.verify.code.code_pool import Outcome, can_be_run, outcomes
from g2rl.verify.code.code_settings import CodeSettings
from g2rl.verify.code.isolation import confinement
from g2rl.verify.code.tests import CodeTests


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m g2rl.verify.code", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("problem", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--isolation", default="strict", help="strict, seccomp or none (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        settings = CodeSettings(isolation=arguments.isolation)
        tests = CodeTests.read(arguments.problem.read_text())
        program = last_program(arguments.answer.read_text())
        if program is None or not can_be_run(program):
            print("wrong: " + ("no fenced block of Python" if program is None else "a NUL in it or over 256 KiB"))
            return 1
        print(probe(settings))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sandbox = Sandbox(settings, confinement(settings))
    results = list(tqdm(outcomes(sandbox, program, tests, settings), total=len(tests.tests), disable=None))
    sandbox.close()
    for number, outcome in enumerate(results, 1):
        print(f"test {number}: {_words(outcome)}, {outcome.run.cpu_s:.2f} s of CPU")
    passed = sum(outcome.right for outcome in results)
    right = passed == len(tests.tests)
    print(f"{'right' if right else 'wrong'}: {passed} of {len(tests.tests)} tests passed")
    return int(not right)


def _words(outcome: Outcome) -> str:
    run = outcome.run
    if outcome.right:
        return "right"
    if run.ended != "normal":
        return f"{run.ended} {run.noise.strip()[-300:]}".strip()
    found = "more than is allowed" if run.output is None else repr(run.output.decode(errors="replace")[:200])
    return f"wrong: {found} for {str(outcome.test.expected)[:200]!r}, input {outcome.test.stdin[:200]!r}"


if __name__ == "__main__":
    sys.exit(main())
