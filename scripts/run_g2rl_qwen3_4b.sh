#!/usr/bin/env bash
# G2RL as in arXiv 2512.15687: MATH, Qwen3-4B-Base, 16 prompts x 16 responses, on a node of GPUs.
# Another method is one override, as in exploration=grpo; any other Hydra override may follow too.
set -euo pipefail
source "$(dirname "$0")/common.sh"
train_on_gpus exploration=g2rl model=qwen3_4b task=math "$@"
