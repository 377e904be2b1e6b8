#!/usr/bin/env bash
# G2RL as in arXiv 2512.15687 with Qwen3-1.7B-Base, on a node of GPUs.
# Another method is one override, as in exploration=grpo; any other Hydra override may follow too.
set -euo pipefail
source "$(dirname "$0")/common.sh"
train_on_gpus exploration=g2rl model=qwen3_1_7b task=math "$@"
