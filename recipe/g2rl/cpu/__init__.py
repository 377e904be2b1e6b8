"""What verl 0.9.1 and vLLM need to run on a machine without an accelerator.

`platform.py` a verl platform named `cpu` (registered), `device.py` the `torch.cuda` look-alike it points to,
`engine.py` verl's FSDP engine registered for that device, `vllm.py` two replacements in the rollout.
"""
