# shellcheck shell=bash disable=SC2034 # what it sets is used by the scripts that source it
# Sourced by every script of this folder: what there is to set about a cluster, and the command that trains on it.
# Each variable may be given in the environment, as in `NODES=4 bash scripts/cluster/rayjob.sh`.

SCRIPT=${SCRIPT:-run_g2rl_qwen3_4b.sh} # which run, of scripts/
NODES=${NODES:-2}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
CPUS_PER_NODE=${CPUS_PER_NODE:-64}            # slots: verl reserves three for each GPU, and a few
PROJECT=${PROJECT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)} # this project, at the same place on every node
SHARED=${SHARED:-$PROJECT/outputs}            # a folder that every node sees
RUN_DIR=${RUN_DIR:-$SHARED/$(basename "$SCRIPT" .sh)} # checkpoints, metrics and train.log of the run
LOGS=${LOGS:-$SHARED/logs}                    # what Ray prints on each node
RAY_PORT=${RAY_PORT:-6379}
DASHBOARD_PORT=${DASHBOARD_PORT:-8265}

export MAX_RESTARTS=${MAX_RESTARTS:-3}        # after a failure, from the last checkpoint
export G2RL_CACHE=${G2RL_CACHE:-$SHARED/cache} # prepared data, made once for all nodes
# Whoever reaches an open Ray port can run anything: the nodes and the driver share a secret.
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}
export RAY_AUTH_TOKEN_PATH=${RAY_AUTH_TOKEN_PATH:-$SHARED/ray_auth_token}
# Ray's workers have the environment of `ray start`, not that of the driver.
# A node that is gone is known to be within half a minute; Ray's own defaults take over a minute.
export RAY_health_check_timeout_ms=5000
export RAY_health_check_failure_threshold=3
export SPT_NOENV=1                  # see recipe/g2rl/driver/watchdog.py
export RAY_JOB_STOP_WAIT_TIME_S=600 # `ray job stop`: time for a step and its checkpoint before SIGKILL
source "$PROJECT/scripts/common.sh"
quiet_environment

TRAIN=(bash "$PROJECT/scripts/$SCRIPT" hardware=cluster trainer.nnodes="$NODES"
    trainer.n_gpus_per_node="$GPUS_PER_NODE" run_dir="$RUN_DIR")
