r"""Is this answer right, and why? python -m g2rl.verify GOLD ANSWER (LaTeX, Unicode or words, without the box)."""

import argparse

from g2rl.verify.explain import explain


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m g2rl.verify", description=__doc__)
    parser.add_argument("gold", metavar="GOLD")
    parser.add_argument("answer", metavar="ANSWER")
    parser.add_argument("--timeout-s", type=float, default=5.0, help="seconds for algebra (default: %(default)s)")
    arguments = parser.parse_args()
    print(explain(arguments.gold, arguments.answer, timeout_s=arguments.timeout_s))


if __name__ == "__main__":
    main()
