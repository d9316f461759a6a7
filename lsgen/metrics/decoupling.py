r"""The decoupling of concepts: how few latent dimensions each of them depends on.

The sensitivity of concept c to dimension i, by intervening on one dimension at a time,

    s_ci = E_z | C_c(G(z + h e_i)) - C_c(G(z)) |,

is sparse where the concept is decoupled. On a curved space z + h e_i lies as far along the geodesic in the direction of
the coordinate; at a wall of bounded codes h changes its sign; for a coordinate of a class, that class is chosen.
Weights found by optimisation say the same of dimensions moved together: with w = tanh(v) and codes
z+- = z (1 +- h w), see `Manifold.scaled`, where classes stay as they are,

    s_c = |w|,   w = argmin -E_z max( |C_c(G(z+)) - C_c(G(z))|, |C_c(G(z-)) - C_c(G(z))| ) + lambda |w|_2 .

Their sparsity is measured by two indices, both 0 for equal sensitivities and 1 for a single one:

    Hoyer    ( sqrt(d) - |s|_1/|s|_2 ) / ( sqrt(d) - 1 )
    Gini     sum_i (2 i - d - 1) s_(i) / ( (d - 1) sum_i s_i ),    s_(1) <= ... <= s_(d)

Reference: Li et al., "Interpreting the latent space of GANs via measuring decoupling" (IEEE Transactions on
Artificial Intelligence, 2021), whose code takes h = 10 mean_i z_i, anew for every code, where h is a number here;
Hoyer (JMLR 2004); Hurley & Rickard, "Comparing measures of sparsity" (2009), https://arxiv.org/abs/0811.4706, whose
Gini index is multiplied by d/(d - 1) here, so that it reaches 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lsgen.latent import LatentSpace

__all__ = ["class_sensitivities", "gini", "hoyer", "intervention_sensitivity", "optimised_sensitivity", "sparsities"]


def hoyer(s: Tensor) -> Tensor:
    """Return the Hoyer sparsity of non-negative vectors (B, d), of shape (B,); NaN for a zero vector.

    Raises:
        ValueError: a component is negative or there are fewer than two.

    """
    d = _checked(s)
    ratio = s.sum(-1) / torch.linalg.vector_norm(s, dim=-1)
    return (d**0.5 - ratio) / (d**0.5 - 1)


def gini(s: Tensor) -> Tensor:
    """Return the Gini index of non-negative vectors (B, d), of shape (B,); NaN for a zero vector.

    Raises:
        ValueError: a component is negative or there are fewer than two.

    """
    d = _checked(s)
    rank = 2 * torch.arange(1, d + 1, dtype=s.dtype, device=s.device) - d - 1
    return (rank * s.sort(-1).values).sum(-1) / ((d - 1) * s.sum(-1))


def intervention_sensitivity(
    space: LatentSpace,
    concepts: Callable[[Tensor], Tensor],
    z: Tensor,
    step: float | Tensor = 1.0,
    batch_size: int = 256,
) -> Tensor:
    """Return the sensitivity of every concept to every latent dimension, (K, d).

    Args:
        space: in eval mode; observations are the means of p(x|z).
        concepts: observations (N, *shape) -> scores of K concepts (N, K), such as class probabilities.
        z: codes (N, d) to intervene on.
        step: the change h of one coordinate, a number or one for each, (d,).
        batch_size: codes at a time.

    Raises:
        ValueError: the step is 0, or the codes have another dimension than the space.
        TypeError: the codes are those of a codebook.

    """
    _check(space, z, step)
    with torch.no_grad():
        totals, steps = [], torch.as_tensor(step).to(z).expand(space.dim)
        for part in z.split(batch_size):
            before = concepts(space.decode(part).mean)
            moved = (space.manifold.intervene(part, axis, steps[axis]) for axis in range(space.dim))
            changes = [(concepts(space.decode(codes).mean) - before).abs().sum(0) for codes in moved]
            totals.append(torch.stack(changes, 1))
        return torch.stack(totals).sum(0) / len(z)


def optimised_sensitivity(
    space: LatentSpace,
    concept: Callable[[Tensor], Tensor],
    z: Tensor,
    step: float = 1.0,
    penalty: float = 0.2,
    iterations: int = 500,
    lr: float = 0.05,
) -> Tensor:
    """Return the weights (d,) of the latent dimensions that change a concept most when all are moved together.

    Args:
        space: in eval mode; observations are the means of p(x|z).
        concept: observations (N, *shape) -> scores (N,) of one concept, differentiable.
        z: codes (N, d).
        step: the relative change h of a coordinate of weight 1.
        penalty: the weight lambda.
        iterations: steps of Adam, from v = 0.5.
        lr: its learning rate.

    Raises:
        ValueError: the step is 0, or the codes have another dimension than the space.
        TypeError: the codes cannot move continuously.

    """
    _check(space, z, step)
    space.manifold.check_continuous()
    with torch.no_grad():
        before = concept(space.decode(z).mean)
    v = torch.full_like(z[0], 0.5).requires_grad_(True)
    optimizer = torch.optim.Adam([v], lr=lr)
    with torch.enable_grad():
        for _ in range(iterations):
            w = torch.tanh(v)
            moved = (space.manifold.scaled(z, 1 + h * w) for h in (step, -step))
            changes = [(concept(space.decode(codes).mean) - before).abs() for codes in moved]
            loss = penalty * torch.linalg.vector_norm(w) - torch.maximum(*changes).mean()
            (v.grad,) = torch.autograd.grad(loss, v)
            optimizer.step()
    return torch.tanh(v).abs().detach()


def class_sensitivities(
    space: LatentSpace,
    probabilities: Callable[[Tensor], Tensor],
    n: int = 256,
    step: float = 1.0,
    iterations: int = 100,
    n_class: int = 32,
    chunk_size: int = 256,
) -> dict[str, Tensor]:
    """Return how classes depend on latent dimensions, (K, d), at codes from the prior, by intervention and weights.

    Args:
        space: in eval mode; observations are the means of p(x|z).
        probabilities: observations (N, *shape) -> probabilities of K classes (N, K), differentiable.
        n: codes to intervene on.
        step: change of one coordinate by intervention, in standard deviations of the prior.
        iterations: steps of the optimisation of weights; 0 leaves it out.
        n_class: codes of a class to optimise weights on, those of the n whose samples are likeliest of it.
        chunk_size: codes at a time.

    Returns:
        "" -> sensitivities by intervention, "_optimised" -> weights.

    Raises:
        ValueError: the step is 0.
        TypeError: the codes cannot move continuously.

    """
    z = space.prior().sample((n,))
    found = {"": intervention_sensitivity(space, probabilities, z, step * space.prior().stddev, chunk_size)}
    if iterations:
        likely = torch.cat([probabilities(space.decode(part).mean) for part in z.split(chunk_size)]).detach()
        weights = []
        for c in range(likely.shape[1]):
            own = z[likely[:, c].topk(n_class).indices]
            score = lambda x, c=c: probabilities(x)[:, c]
            weights.append(optimised_sensitivity(space, score, own, step, iterations=iterations))
        found["_optimised"] = torch.stack(weights)
    return found


def sparsities(sensitivities: Mapping[str, Tensor]) -> dict[str, float]:
    """Return "hoyer" and "gini" of sensitivities (K, d), averaged over concepts that depend on some dimension.

    The names of the sensitivities are appended to those of the indices; where no concept depends on any dimension
    there is no entry.
    """
    moved = {how: s[s.sum(1) > 0] for how, s in sensitivities.items()}
    pairs = [(how, index) for how in moved if len(moved[how]) for index in (hoyer, gini)]
    return {f"{index.__name__}{how}": float(index(moved[how]).mean()) for how, index in pairs}


def _check(space: LatentSpace, z: Tensor, step: float | Tensor) -> None:
    if bool((torch.as_tensor(step) == 0).any()):
        raise ValueError("expected a step other than 0")
    if z.ndim != 2 or z.shape[1] != space.dim:
        raise ValueError(f"expected codes of shape (N, {space.dim}), got {tuple(z.shape)}")


def _checked(s: Tensor) -> int:
    d = s.shape[-1]
    if d < 2 or bool((s < 0).any()):
        raise ValueError(f"expected at least 2 non-negative components, got {d} with a minimum of {s.min().item():.6g}")
    return d
