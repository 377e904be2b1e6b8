#!/usr/bin/env bash
# The laboratory: a method on the tiny policy, in one process. Any Hydra override may follow, as in
#   bash scripts/lab.sh exploration=g2rl seed=1
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$ROOT"
setup_cpu_env
quiet_environment
export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$PYTHON" -m g2rl.lab "$@"
