#!/usr/bin/env bash
# G2RL on a machine without a GPU: the tiny policy learns arithmetic. Any Hydra override may follow.
exec bash "$(dirname "$0")/run.sh" g2rl cpu "$@"
