"""What a user calls after a run, each in a process of its own: export of a checkpoint, evaluation of a model."""
