#!/usr/bin/env bash
# The runs of docs/study_protocol.md that are missing, in its order, then the tables and pictures of docs/study.
# Start one a core; stop and start them as you like. `--list` says what is missing.
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$ROOT"
setup_cpu_env
quiet_environment
export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
"$PYTHON" -m g2rl.lab.study "$@"
exec "$PYTHON" -m g2rl.lab.tables
