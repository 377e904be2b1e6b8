"""What verl 0.9.1 and vLLM need to run on a machine without an accelerator.

`platform.py` is a verl platform named `cpu`, `device.py` the look-alike of `torch.cuda` that it points to, `fsdp.py`
verl's FSDP engine registered for that device, `vllm.py` two replacements in the rollout, `weights.py` the way of the
weights to separate rollout servers.
"""
