#!/usr/bin/env bash
# EVOL-RL's embedding novelty on a machine without a GPU: the tiny policy learns arithmetic. Any Hydra override may follow.
set -euo pipefail
source "$(dirname "$0")/common.sh"
train_on_cpu exploration=evol "$@"
