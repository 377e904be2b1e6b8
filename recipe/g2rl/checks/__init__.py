"""What is judged before a run, in the driver's process; `nodes.py` also looks from each node of a cluster."""
