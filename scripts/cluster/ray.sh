#!/usr/bin/env bash
# Ray on this node, until it is ended: `ray.sh head` on one node, `ray.sh worker HEAD_ADDRESS` on each of the others.
# Then, on the head:  RAY_ADDRESS=auto bash scripts/cluster/train.sh [Hydra overrides].  More arguments go to `ray start`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

case ${1:-} in
head)
    shift
    if [[ $RAY_AUTH_MODE == token && ! -s $RAY_AUTH_TOKEN_PATH ]]; then
        mkdir -p "$(dirname "$RAY_AUTH_TOKEN_PATH")"
        (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$RAY_AUTH_TOKEN_PATH")
    fi
    flags=(--head --port="$RAY_PORT" --dashboard-host=0.0.0.0 --dashboard-port="$DASHBOARD_PORT")
    ;;
worker)
    address=${2:?"the head's address, as in: ray.sh worker 10.0.0.1:$RAY_PORT"}
    shift 2
    flags=(--address="$address")
    # The head may be a little later than its workers.
    for ((second = 0; second < 300; second += 5)); do
        ray health-check --address "$address" &>/dev/null && break
        sleep 5
    done
    ;;
*)
    echo "error: ray.sh head, or ray.sh worker HEAD_ADDRESS" >&2
    exit 2
    ;;
esac
exec ray start --block --disable-usage-stats --num-gpus="$GPUS_PER_NODE" --num-cpus="$CPUS_PER_NODE" "${flags[@]}" "$@"
