#!/usr/bin/env bash
# eval.sh MODEL BENCHMARK... [--num-samples 16 --temperature 0.8 --max-tokens 8192 ...]: samples, verifies, prints a table.
# eval.sh geometry MODEL...   the geometry of each model's gradients.
# eval.sh --compare RUN...    finished evaluations and the published numbers in one table.
# BENCHMARK: a name, or a file of problems (JSON lines, JSON, CSV, parquet; docs/evaluation.md says which columns).
# MODEL: a Hugging Face folder or name, or a checkpoint of verl's. All flags: eval.sh --help. On GPUs: PYTHON=python3.
set -euo pipefail
source "$(dirname "$0")/common.sh"
export VLLM_LOGGING_LEVEL=${VLLM_LOGGING_LEVEL:-ERROR} # an engine alone, whose warnings say nothing to who evaluates

if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
    PYTHON=${PYTHON:-python3}
    quiet_environment
elif [[ -n ${PYTHON:-} ]]; then
    cpu_environment
else
    setup_cpu_env
    cpu_environment
fi

exec "$PYTHON" -m recipe.g2rl.tools.evaluate "$@"
