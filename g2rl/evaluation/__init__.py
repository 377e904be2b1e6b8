"""From samples to numbers: pass@k, maj@k, their intervals, and the geometry of a policy's gradients."""

from g2rl.evaluation.equivalence import equal_in_pool
from g2rl.evaluation.metrics import bootstrap_interval, majority_at_k, pass_at_k, validation_metrics
from g2rl.geometry import negative_share, pairwise_cosines

__all__ = [
    "bootstrap_interval",
    "equal_in_pool",
    "majority_at_k",
    "negative_share",
    "pairwise_cosines",
    "pass_at_k",
    "validation_metrics",
]
