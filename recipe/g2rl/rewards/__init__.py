"""Whose reward counts, and a user's own reward function in processes of its own.

`selection.py` runs in the driver; `isolated.py` in verl's reward workers, whose children run `process.py`.
"""
