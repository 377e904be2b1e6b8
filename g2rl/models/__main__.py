"""python -m g2rl.models --out CACHE: prints the folder of a tiny policy, pre-training it where it is not cached."""

import argparse
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from g2rl.models import tiny_policy
from g2rl.models.pretrain import RECIPES

disable_progress_bar()  # of writing the weights, which takes no time
parser = argparse.ArgumentParser(prog="python -m g2rl.models", description=__doc__)
parser.add_argument("--task", choices=RECIPES, default="arithmetic", help="what it learns (default: %(default)s)")
parser.add_argument("--out", type=Path, required=True, help="the cache folder; the policy is a folder in it")
arguments = parser.parse_args()
print(tiny_policy(arguments.out, arguments.task))
