#!/usr/bin/env bash
# The tests, on a machine without a GPU. `--all` adds the long ones, behind the others; with `--minutes 20` none of them
# starts later. Anything else goes to pytest (`-k name`, a path).
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$ROOT"

arguments=()
marks=(-m "not slow")
for argument in "$@"; do
    if [[ $argument == --all ]]; then marks=(); else arguments+=("$argument"); fi
done

setup_cpu_env
cpu_environment
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check --quiet .
"$PYTHON" -m mypy
bin=$(dirname "$PYTHON")
"$bin/lint-imports" --no-cache --no-logo
"$bin/shellcheck" .ci/run scripts/*.sh scripts/cluster/*
"$bin/hadolint" docker/*
# The tiny policy that the end-to-end tests train: made once, with its progress in sight.
"$PYTHON" -m g2rl.models --out "$G2RL_CACHE"
# Two processes: one trains, the other takes the rest (tests/conftest.py).
exec "$PYTHON" -m pytest -n 2 --dist loadgroup --no-loadscope-reorder ${marks[@]+"${marks[@]}"} ${arguments[@]+"${arguments[@]}"}
