r"""Semi-amortised inference: the encoder gives a start, a few steps of gradient ascent the posterior.

    loss = -L(x; lambda_K),    lambda_K = lambda_0 + steps of `Refinement`,    lambda_0 = encoder(x)

The gradient goes through all steps, to the encoder as well as to the decoder, so that the encoder learns to start where
the steps arrive. Validation and test refine as training does. What encodes afterwards, such as `latent_space.encode` in
traversals and importance sampling, is the encoder alone.

Reference: Kim, Wiseman, Miller, Sontag & Rush, "Semi-amortized variational autoencoders" (2018), algorithm 1,
https://arxiv.org/abs/1802.02550.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.bounds.refinement import Refinement, terms_of
from lsgen.models.vae.objective import Objective

__all__ = ["SemiAmortised"]


class SemiAmortised(Objective):
    """The evidence lower bound of posteriors refined by steps through which the gradient flows.

    It logs `refined_by`, the nats that the steps gain over the encoder's own bound, each by one draw.

    Args:
        refinement: the steps.
        beta: weight of the KL in the loss, a number or a schedule in generator steps; the steps ascend the bound.

    """

    def __init__(self, refinement: Refinement = Refinement(), beta: float | Schedule = 1.0) -> None:
        super().__init__()
        self.refinement, self.beta = refinement, as_schedule(beta)

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse also a posterior that cannot be differentiated through a step."""
        super().check(space)
        if not space.posterior.twice_differentiable:
            name = type(space.posterior).__name__
            raise TypeError(f"SemiAmortised expected a posterior whose codes have second derivatives, got {name}")

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the loss of the refined posteriors."""
        training, beta = torch.is_grad_enabled(), self.beta(step)
        # A trainer evaluates in inference mode, whose tensors no gradient can be taken of: a clone is an ordinary one.
        with torch.inference_mode(False), torch.enable_grad():
            x = batch["x"].clone()
            raw = space.outputs(x)
            with torch.no_grad():
                start = terms_of(space, x, raw)
            terms = terms_of(space, x, self.refinement(space, x, raw, create_graph=training))
            gain = (start.reconstruction + start.kl.sum(-1)) - (terms.reconstruction + terms.kl.sum(-1))
            loss = (terms.reconstruction + beta * terms.kl.sum(-1)).mean()
        losses = terms.losses(loss, {"beta": beta}, {"refined_by": gain.mean()})
        return losses if training else losses.detach()
