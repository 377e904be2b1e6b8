#!/usr/bin/env bash
# Hands the run to a Ray cluster that is up and follows its log; DASHBOARD=http://HEAD:8265. Any Hydra override may follow.
# `ray job stop ID` ends it with SIGTERM: a checkpoint, then the end.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
DASHBOARD=${DASHBOARD:-http://127.0.0.1:$DASHBOARD_PORT}
exec ray job submit --address "$DASHBOARD" -- \
    env MAX_RESTARTS="$MAX_RESTARTS" G2RL_CACHE="$G2RL_CACHE" "${TRAIN[@]}" "$@"
