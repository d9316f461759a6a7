r"""An encoder for a generator that is trained already, so that observations land in its latent space.

    E = argmin  L_z + w L_x
    L_z = -1/d E_{z ~ p(z)} log q_E( z | G(z) ),   for a deterministic encoder  1/(2 d) E |E(G(z)) - z|^2
    L_x = E_x d( x, G(E(x)) ),                     E(x) the mean of q_E(z|x),  x given observations

L_z alone sees generated observations only and recovers their codes; L_x brings in real ones. The code that it finds
is a start for `lsgen.models.gan.inversion.invert` (hybrid inversion).

Reference: Zhu et al., "Generative visual manipulation on the natural image manifold" (2016),
https://arxiv.org/abs/1609.03552, section 3.2, for L_x; Luo et al., "Learning inverse mapping by autoencoder based
generative adversarial nets" (2017), https://arxiv.org/abs/1703.10094, for L_z.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lsgen.latent import Deterministic, LatentSpace, Posterior
from lsgen.models.gan.inversion import mean_squared_error
from lsgen.models.gan.space import EncodableGeneratorSpace
from lsgen.models.parts import frozen_parameters

__all__ = ["fit_encoder"]


def fit_encoder(
    space: LatentSpace,
    encoder: nn.Module,
    observations: Tensor | None = None,
    posterior: Posterior | None = None,
    steps: int = 2000,
    batch_size: int = 64,
    lr: float = 1e-3,
    weight: float = 1.0,
    distance: Callable[[Tensor, Tensor], Tensor] = mean_squared_error,
) -> EncodableGeneratorSpace:
    """Train an encoder and return the latent space with it; decoder, likelihood and prior are shared.

    Args:
        space: in eval mode.
        encoder: observations (N, *shape) -> posterior parameters (N, posterior.heads * d); trained in place.
        observations: real ones (M, *shape); L_x is left out where there are none.
        posterior: family of q(z|x); a point unless another is given.
        steps: steps of Adam.
        batch_size: codes, and observations, of a step.
        lr: learning rate, decayed to 0 by half a cosine.
        weight: the weight w of L_x.
        distance: observations (N, *shape) twice -> distances (N,), differentiable.

    Raises:
        ValueError: a count, the rate or the weight is not positive, or the space is in train mode.

    """
    if steps < 1 or batch_size < 1 or not lr > 0 or not weight > 0:
        raise ValueError(
            "expected steps and batch_size of at least 1, lr and weight above 0, "
            f"got {steps}, {batch_size}, {lr} and {weight}"
        )
    if space.training:
        raise ValueError("expected a latent space in eval mode, got one in train mode")
    family = Deterministic() if posterior is None else posterior
    found = EncodableGeneratorSpace(encoder, space.decoder, space.likelihood, space.prior, family)
    trained = [*encoder.parameters(), *family.parameters()]
    optimizer = torch.optim.Adam(trained, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    encoder.train()
    with torch.enable_grad(), frozen_parameters(space.parameters()):
        for _ in range(steps):
            loss = _code_loss(found, batch_size)
            if observations is not None:
                x = observations[torch.randint(len(observations), (batch_size,), device=observations.device)]
                loss = loss + weight * distance(found.decode(found.encode(x).mean).mean, x).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    found.eval()
    return found


def _code_loss(space: EncodableGeneratorSpace, n: int) -> Tensor:
    """Return L_z over n codes, a scalar."""
    with torch.no_grad():
        z = space.prior().sample((n,))
        x = space.decode(z).mean
    q = space.encode(x)
    if isinstance(space.posterior, Deterministic):
        return (q.mean - z).square().mean() / 2
    return -q.log_prob(z).mean() / space.dim
