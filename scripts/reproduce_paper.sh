#!/usr/bin/env bash
# The tables of arXiv 2512.15687 on a node of GPUs, unattended: every method, model and seed is trained and evaluated, then
# the geometry of each model's policies, then one report. DRY_RUN=1 prints the plan with its GPU hours, estimated.
# Started again, it skips what is done and goes on with what was cut off. Any Hydra override may follow, for all trainings.
# Knobs: METHODS, MODELS, SEEDS, OUT, GPUS.
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$ROOT"

export PYTHON=${PYTHON:-python3} MAX_RESTARTS=${MAX_RESTARTS:-3}
METHODS=${METHODS:-grpo entropy evol g2rl}
MODELS=${MODELS:-qwen3_1_7b qwen3_4b}
SEEDS=${SEEDS:-1 2 3}
OUT=${OUT:-outputs/paper}
GPUS=${GPUS:-8}
DATA=${G2RL_DATA_PATH:-$G2RL_CACHE/data-math}
declare -A TOKENS=([qwen3_1_7b]=8192 [qwen3_4b]=12288) # of a response, as the paper states for each model

# step KIND MODEL OUTPUT COMMAND...: the command, unless OUTPUT, the last file that it writes, is there.
failed=()
step() {
    local kind=$1 model=$2 output=$3
    shift 3
    if [[ -e $output ]]; then
        [[ ${DRY_RUN:-} == 1 ]] || echo "== there is $output"
    elif [[ ${DRY_RUN:-} == 1 ]]; then
        echo "$kind $model $output"
    else
        echo "== $kind, for $output"
        "$@" || { failed+=("$output") && return 1; }
    fi
}

evaluate() { # RUN KIND SAMPLES BENCHMARK...
    local run=$1 kind=$2 samples=$3
    shift 3
    step "$kind" "$model" "$run/evaluation/${*: -1}/result.json" bash scripts/eval.sh "$run/checkpoints" "$@" \
        --num-samples "$samples" --max-tokens "${TOKENS[$model]}" --data-dir "$DATA" --out "$run/evaluation"
}

everything() {
    local name model seed method run
    for name in math math500 amc aime24 aime25 gpqa_diamond mmlu_pro; do
        step data - "$DATA/$name.parquet" "$PYTHON" -m g2rl.data "$name" --out "$DATA"
    done
    for seed in $SEEDS; do
        for model in $MODELS; do
            for method in $METHODS; do
                run=$OUT/$method-$model-seed$seed
                # The rollout's servers have the seeds from this one on: no two runs share one.
                rollout_seed=$((1000 * seed))
                step train "$model" "$run/summary.md" bash "scripts/run_g2rl_$model.sh" exploration="$method" \
                    run_dir="$run" trainer.n_gpus_per_node="$GPUS" data.seed="$seed" \
                    actor_rollout_ref.rollout.seed="$rollout_seed" actor_rollout_ref.actor.data_loader_seed="$seed" "$@" || continue
                # pass@32 of GPQA is the 4B table's; MMLU-Pro has pass@1 alone.
                evaluate "$run" mathematics 16 math500 amc aime24 aime25 || true
                [[ $model == qwen3_4b ]] || continue
                evaluate "$run" gpqa 32 gpqa_diamond || true
                evaluate "$run" mmlu_pro 1 mmlu_pro || true
            done
        done
    done
    for model in $MODELS; do
        local policies=() missing=0
        for method in $METHODS; do
            run=$OUT/$method-$model-seed${SEEDS%% *}
            policies+=("$method=$run/checkpoints")
            [[ -e $run/summary.md || ${DRY_RUN:-} == 1 ]] || missing=1
        done
        [[ $missing == 1 ]] || step geometry "$model" "$OUT/geometry-$model/geometry.json" \
            bash scripts/eval.sh geometry "${policies[@]}" --max-tokens "${TOKENS[$model]}" --data-dir "$DATA" \
            --out "$OUT/geometry-$model" || true
    done
}

if [[ ${DRY_RUN:-} == 1 ]]; then
    everything "$@" | "$PYTHON" benchmarks/gpu_hours.py --gpus "$GPUS"
    exit
fi
mkdir -p "$OUT"
everything "$@"
runs=() results=()
for run in "$OUT"/*-seed*; do
    [[ ! -e $run/summary.md ]] || runs+=("$run")
    ! compgen -G "$run/evaluation/*/result.json" >/dev/null || results+=("$(basename "$run")=$run/evaluation")
done
[[ ${#runs[@]} -eq 0 ]] || "$PYTHON" -m g2rl.report "${runs[@]}" --out "$OUT/report"
[[ ${#results[@]} -eq 0 ]] || bash scripts/eval.sh --compare "${results[@]}" | tee "$OUT/report/tables.md"
if [[ ${#failed[@]} -gt 0 ]]; then
    printf 'error: not made: %s; the same command tries it again.\n' "${failed[@]}" >&2
    exit 1
fi
