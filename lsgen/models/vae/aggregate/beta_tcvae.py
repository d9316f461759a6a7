r"""beta-TCVAE: the KL of the ELBO taken apart, and the total correlation weighted.

    loss = E_q[ -log p(x|z) ] + alpha I(x; z) + beta TC(q(z)) + gamma sum_k KL( q(z_k) || p(z_k) )
         = E_q[ -log p(x|z) ] + KL( q(z|x) || p(z) ) + (alpha - 1) I + (beta - 1) TC + (gamma - 1) DWKL .

The second line is used: the KL is in closed form, only what differs from the ELBO is estimated, and
alpha = beta = gamma = 1 is the ELBO itself. The default estimator is the paper's, weighted sampling; its total
correlation, and with it the loss, carries up to (d - 1) log N. `lsgen.latent.aggregate` says how far either estimator
is from the truth. Neither is a value to report: `lsgen.callbacks.AggregateMetrics` measures held-out observations.

The scalars mutual_information, total_correlation and dimension_wise_kl are logged with the estimator's initials, as
train/total_correlation_mws (minibatch-weighted sampling) or ..._mss (minibatch stratified sampling).

Reference: Chen et al. (2018), equations 2 and 4, appendix C, https://arxiv.org/abs/1802.04942.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lsgen.latent import EncodableLatentSpace, aggregate_terms
from lsgen.latent.aggregate import Sampling
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import DataSetObjective, sample_terms

__all__ = ["BetaTCVAE"]

_LABELS: Mapping[Sampling, str] = {"weighted": "mws", "stratified": "mss"}


class BetaTCVAE(DataSetObjective):
    """The ELBO with its own weights for mutual information, total correlation and dimension-wise KL.

    Args:
        beta: weight of the total correlation, a number or a schedule in generator steps.
        alpha: weight of the mutual information.
        gamma: weight of the dimension-wise KL.
        sampling: estimator of the aggregate posterior, "weighted" as in the paper, or "stratified" as in its appendix.
        observations: size N of the training set; taken from the data when training starts where it is not given.

    """

    factorised = True

    def __init__(
        self,
        beta: float | Schedule = 6.0,
        alpha: float | Schedule = 1.0,
        gamma: float | Schedule = 1.0,
        sampling: Sampling = "weighted",
        observations: int | None = None,
    ) -> None:
        super().__init__(observations)
        if sampling not in _LABELS:
            raise ValueError(f'expected sampling "stratified" or "weighted", got {sampling!r}')
        self.alpha, self.beta, self.gamma = as_schedule(alpha), as_schedule(beta), as_schedule(gamma)
        self.sampling: Sampling = sampling

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + alpha I + beta TC + gamma DWKL.

        Raises:
            RuntimeError: the size of the training set is not known.

        """
        x, prior = batch["x"], space.prior()
        terms = sample_terms(space, x)
        parts = aggregate_terms(terms.q, prior, terms.z, self.observations, self.sampling)
        weights = {"alpha": self.alpha(step), "beta": self.beta(step), "gamma": self.gamma(step)}
        extra = (
            (weights["alpha"] - 1) * parts.mutual_information
            + (weights["beta"] - 1) * parts.total_correlation
            + (weights["gamma"] - 1) * parts.dimension_wise_kl
        )
        scalars = {f"{name}_{_LABELS[self.sampling]}": value.detach().mean() for name, value in vars(parts).items()}
        return terms.losses((terms.reconstruction + terms.kl.sum(-1) + extra).mean(), weights, scalars)
