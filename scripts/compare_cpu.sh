#!/usr/bin/env bash
# Five methods (or METHODS) on a machine without a GPU, same seeds and settings: one table and one picture with bands over seeds.
# Knobs: SEEDS, METHODS, OUT. Any Hydra override may follow. A comparison that was cut off goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."

SEEDS=${SEEDS:-1 2 3}
METHODS=${METHODS:-grpo entropy evol g2rl progrpo}
OUT=${OUT:-outputs/compare_cpu}

mkdir -p "$OUT"
if compgen -G "$OUT/*/metrics.jsonl" >/dev/null && [[ $(cat "$OUT/overrides") != "$*" ]]; then
    echo "error: the runs in $OUT were made with '$(<"$OUT/overrides")'; give the same overrides, or another OUT." >&2
    exit 2
fi
echo "$*" >"$OUT/overrides"

runs=()
for seed in $SEEDS; do
    for method in $METHODS; do
        run=$OUT/$method-seed$seed
        runs+=("$run")
        [[ -f $run/summary.md ]] && continue
        echo "== $method, seed $seed"
        bash scripts/run_g2rl_cpu.sh exploration="$method" run_dir="$run" exploration.log_geometry=true \
            data.seed="$seed" actor_rollout_ref.rollout.seed="$seed" actor_rollout_ref.actor.data_loader_seed="$seed" "$@"
    done
done
"${G2RL_VENV:-.venv}/bin/python" -m g2rl.report "${runs[@]}" --out "$OUT/report"
