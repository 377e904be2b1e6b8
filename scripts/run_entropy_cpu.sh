#!/usr/bin/env bash
# GRPO with an entropy bonus on a machine without a GPU: the tiny policy learns arithmetic. Any Hydra override may follow.
set -euo pipefail
source "$(dirname "$0")/common.sh"
train_on_cpu exploration=entropy "$@"
