#!/usr/bin/env bash
# The run on a Ray cluster that is up, from one of its nodes. Any Hydra override may follow.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
exec "${TRAIN[@]}" "$@"
