#!/usr/bin/env bash
# Is this environment fit for a run? Prints versions, GPUs, whether verl finds the plugin, and how programs are run.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || echo python3)}
exec "$PYTHON" -m recipe.g2rl.checks.environment
