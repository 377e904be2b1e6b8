#!/usr/bin/env bash
# ProGRPO as in arXiv 2602.05281: DAPO-Math, Qwen2.5-7B, on a node of GPUs.
# Another method is one override, as in exploration=grpo; any other Hydra override may follow too.
set -euo pipefail
source "$(dirname "$0")/common.sh"
train_on_gpus exploration=progrpo model=qwen2_5_7b task=dapo_math_17k "$@"
