#!/usr/bin/env bash
# G2RL on a machine without a GPU: the tiny policy learns arithmetic. Any Hydra override may follow.
set -euo pipefail
source "$(dirname "$0")/common.sh"
train_on_cpu exploration=g2rl "$@"
