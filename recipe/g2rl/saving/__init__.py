"""What a run leaves on disk while it trains: checkpoints and metrics; runs in the trainer's process."""
