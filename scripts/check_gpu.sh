#!/usr/bin/env bash
# What one GPU can tell in a few minutes, the most valuable first; torch and triton are enough. DRY_RUN=1: the plan.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || echo python3)}
PYTHONPATH=$PWD exec "$PYTHON" benchmarks/check_gpu "$@"
