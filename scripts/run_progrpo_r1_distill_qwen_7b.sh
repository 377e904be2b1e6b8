#!/usr/bin/env bash
# ProGRPO on code (arXiv 2602.05281): DeepCoder, DeepSeek-R1-Distill-Qwen-7B, LiveCodeBench as validation, on a node of
# GPUs. Another method is one override, as in exploration=grpo; the other reading of the model is model=qwen2_5_7b.
set -euo pipefail
source "$(dirname "$0")/common.sh"
train_on_gpus exploration=progrpo model=r1_distill_qwen_7b task=deepcoder "$@"
