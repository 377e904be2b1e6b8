"""RepExp (arXiv 2510.11686): a bonus for responses whose representation the others of the group do not span.

Shape suffixes: N responses, G groups of one size, M members of such a group, D dimensions of the projection.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from g2rl.groups import group_min_max, groups_by_size
from g2rl.methods.base import Metrics, RewardMethod, Samples, check_number

VECTORS = ("hidden_states", "features")


def sparse_projection(width: int, dimensions: int, generator: np.random.Generator) -> Tensor:
    """[width, dimensions] float64, Li's very sparse random projection (KDD 2006), which keeps lengths on average.

    One in √width entries is ±√(√width / dimensions), the others are 0.
    """
    density = width**-0.5
    signs = generator.choice([-1.0, 0.0, 1.0], size=(width, dimensions), p=[density / 2, 1 - density, density / 2])
    return torch.from_numpy(signs) / (density * dimensions) ** 0.5


def leverages(vectors: Tensor, group_ids: Tensor, ridge: float) -> Tensor:
    """b_i = z_iᵀ Λ⁻¹ z_i, where z are the vectors less their group's mean and Λ = ridge · I + Σ_j z_j z_jᵀ.

    Args:
        vectors: [N, D] floating point. One that is not finite takes no part, and its b is 0.
        group_ids: [N] int64, which prompt; rows in any order, groups of any size.
        ridge: above 0.

    Returns:
        [N] float64 in [0, 1).
    """
    bonus_N = torch.zeros(len(vectors), dtype=torch.float64)
    usable = vectors.isfinite().all(-1).nonzero().squeeze(-1)
    for members_GM in groups_by_size(group_ids[usable]):
        rows_GM = usable[members_GM]
        centred_GMD = vectors[rows_GM].double()
        centred_GMD = centred_GMD - centred_GMD.mean(dim=1, keepdim=True)
        covariance_GDD = centred_GMD.mT @ centred_GMD + ridge * torch.eye(vectors.shape[1], dtype=torch.float64)
        solved_GMD = torch.linalg.solve(covariance_GDD, centred_GMD.mT).mT
        bonus_N[rows_GM] = (centred_GMD * solved_GMD).sum(-1)
    return bonus_N


@dataclass(frozen=True)
class RepExp(RewardMethod):
    """Of rewards of 0 and 1: reward + beta · b, where b are the `leverages` of the responses' projected vectors.

    There is no bonus where no response of the group is correct. Written for rewards of ±1, which standardising makes no
    difference to: r + 2 beta b. The projection is drawn anew each step.

    vectors: "hidden_states", mean over the response of the states that the LM head sees, or "features", the gradient
        features. They come from the policy that is trained; the authors' are those of the frozen initial model.
    dimensions: of the projection.
    ridge: the paper's λ.
    """

    vectors: str = "hidden_states"
    beta: float = 0.01
    ridge: float = 0.01
    dimensions: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vectors not in VECTORS:
            raise ValueError(f"exploration.vectors must be one of {', '.join(VECTORS)}, not {self.vectors!r}.")
        check_number("beta", self.beta, 0)
        check_number("ridge", self.ridge, 1e-12)
        check_number("dimensions", self.dimensions, 1, whole=True)
        check_number("seed", self.seed, 0, whole=True)

    @property
    def inputs(self) -> frozenset[str]:
        return super().inputs | {self.vectors}

    def shape_rewards(self, samples: Samples) -> tuple[Tensor, Metrics]:
        vectors = samples[self.vectors].double()
        projection = sparse_projection(vectors.shape[1], self.dimensions, samples.generator(self.seed))
        leverages_N = leverages(vectors @ projection, samples.group_ids, self.ridge)
        any_correct_N = group_min_max(samples.correct.int(), samples.group_ids)[1] > 0
        bonus_N = (2 * self.beta * leverages_N * any_correct_N).float()
        return samples.rewards + bonus_N, {"exploration/leverage_mean": leverages_N.mean().item()}
