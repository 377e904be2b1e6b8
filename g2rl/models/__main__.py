"""python -m g2rl.models --out CACHE: prints the folder of the tiny policy, pre-training it where it is not cached."""

import argparse
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from g2rl.models import tiny_policy

disable_progress_bar()  # of writing the weights, which takes no time
parser = argparse.ArgumentParser(prog="python -m g2rl.models", description=__doc__)
parser.add_argument("--out", type=Path, required=True, help="the cache folder; the policy is a folder in it")
print(tiny_policy(parser.parse_args().out))
