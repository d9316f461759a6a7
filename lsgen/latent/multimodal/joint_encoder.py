"""A posterior of all modalities that a network of its own makes, beside one encoder for each.

    q(z|x) = N(mu(x), diag(s^2(x))) of all modalities,    q_i(z|x_i) of one,    prod_{i in A} q_i / c of others

Reference: Suzuki, Nakayama & Matsuo, "Joint multimodal learning with deep generative models" (2016),
https://arxiv.org/abs/1611.01891, for two modalities; products of some of more are as in Vedantam et al. (2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from lsgen.latent.multimodal.experts import Experts, JointPosterior, diagonal_normal, product_of_normals
from lsgen.likelihoods import Packing
from lsgen.nn import MLPEncoder

__all__ = ["JointEncoder"]


class JointEncoder(JointPosterior):
    """A network that sees all modalities: one encoder for each, whose outputs a perceptron joins.

    Args:
        shapes: shape of one observation of each modality, by name in the order of their places.
        encoders: by name, observations (N, *shape_i) -> features (N, heads dim), with these two as attributes; modules
            of their own, not those of the space.
        dim: latent dimension d.
        hidden: widths of the layers that join the features.
        activation: constructor of the activation between layers.

    Raises:
        ValueError: the encoders have other names than the shapes.

    """

    factorised = True

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        encoders: Mapping[str, nn.Module],
        dim: int,
        hidden: Sequence[int] = (512,),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.packing = Packing(shapes)
        if set(encoders) != set(self.packing.names):
            raise ValueError(
                f"expected encoders of {', '.join(self.packing.names)}, got {', '.join(encoders) or 'none'}"
            )
        self.encoders = nn.ModuleDict({name: encoders[name] for name in self.packing.names})
        sizes = [cast(int, one.heads) * cast(int, one.dim) for one in self.encoders.values()]
        self.activation, self.join = activation(), MLPEncoder((sum(sizes),), dim, hidden, activation)

    def see(self, x: Tensor, experts: Experts) -> Experts:
        """Return the experts with mean and log variance of all modalities of packed observations (B, D)."""
        features = [self.encoders[name](own) for name, own in self.packing.unpack(x).items()]
        raw = self.join(self.activation(torch.cat(features, 1)))
        mean, log_variance = raw.to(torch.promote_types(raw.dtype, torch.float32)).chunk(2, -1)
        return replace(experts, whole=(mean, log_variance))

    def forward(self, experts: Experts, present: Tensor | None = None) -> Independent:
        """Return what the network says of whole observations, and the product of the experts of others.

        Raises:
            ValueError: experts of several modalities come without what the network says of them.

        """
        if experts.count == 1:
            return diagonal_normal(experts.mean.squeeze(-2), experts.log_variance.squeeze(-2))
        if experts.whole is None:
            raise ValueError("JointEncoder expected experts with what it has seen itself: use the encode of the space")
        if present is None:
            return diagonal_normal(*experts.whole)
        product = product_of_normals(experts.mean, experts.log_variance, present, prior_expert=False)
        whole = present.all(-1, keepdim=True)
        return diagonal_normal(*(torch.where(whole, own, of) for own, of in zip(experts.whole, product, strict=True)))
