"""From samples to numbers: pass@k, maj@k, their intervals, and the geometry of a policy's gradients."""

from g2rl.evaluation.metrics import bootstrap_interval, majority_at_k, pass_at_k, validation_metrics

__all__ = ["bootstrap_interval", "majority_at_k", "pass_at_k", "validation_metrics"]
