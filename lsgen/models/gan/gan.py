"""The generative adversarial network, assembled from parts: variants are objects passed in, not subclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lsgen.latent import Prior
from lsgen.likelihoods import Likelihood
from lsgen.models.base import Batch
from lsgen.models.contract import AllowedRange, Contract
from lsgen.models.gan.adversarial import AdversarialModel
from lsgen.models.gan.losses import AdversarialLoss
from lsgen.models.gan.regularisers.auxiliary import AuxiliaryClassification
from lsgen.models.gan.regularisers.base import (
    CriticRegulariser,
    GeneratorRegulariser,
    JointRegulariser,
    Play,
    Regulariser,
    ScoreRegulariser,
    Scores,
)
from lsgen.models.gan.space import GeneratorSpace, RescaledGenerator, with_class
from lsgen.models.gan.updates import Updates
from lsgen.models.parts import check_prior, check_value_range
from lsgen.nn.adversarial.augment import AdaptiveAugment
from lsgen.nn.adversarial.critics import AuxiliaryCritic
from lsgen.nn.adversarial.packed import augmented, packs

__all__ = ["GAN"]


class GAN(AdversarialModel):
    """A generative adversarial network.

    Args:
        generator: codes (N, d) -> observations (N, *shape).
        critic: observations (N, *shape) -> scores (N,); of a conditional one, with `classes`, its second argument
            is a one-hot label (N, classes), which also makes up the last dimensions of the codes. An
            `lsgen.nn.adversarial.critics.AuxiliaryCritic` recognises that label instead, under an
            `AuxiliaryClassification`; a `lsgen.nn.adversarial.packed.PackedCritic` judges observations in packs.
        likelihood: what lends the latent space its geometry, a Gaussian of fixed sigma as a rule.
        prior: p(z); one with parameters is trained with the generator, through the codes.
        loss: what the two players minimise.
        regularisers: penalties in either player's loss, or in both.
        augment: what every observation undergoes before the critic sees it in training, such as
            `lsgen.nn.adversarial.augment.DiffAugment`; an `AdaptiveAugment` is told how the critic overfits.
        value_range: data values that the networks see as -1 and 1; None where they see the data as they are.
        updates: optimisers of both players, and how their updates alternate.
        max_steps: see `AdversarialModel`.

    Raises:
        ValueError: the generator and the prior disagree on the latent dimension, or the critic and the prior on
            the number of classes; two regularisers are of one class; an argument is out of its range.
        TypeError: a regulariser is for neither player, or does not suit critic or prior; an auxiliary critic and its
            regulariser are not together; or the prior would not learn from its draws.

    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        loss: AdversarialLoss,
        regularisers: Sequence[Regulariser] = (),
        augment: nn.Module | None = None,
        value_range: Sequence[float] | None = None,
        updates: Updates = Updates(),
        max_steps: int | None = None,
    ) -> None:
        space = GeneratorSpace(RescaledGenerator(generator, check_value_range(value_range)), likelihood, prior)
        super().__init__(space, updates, max_steps)
        check_prior("GAN", space, density=False, draws=True)
        recognised = any(isinstance(regulariser, AuxiliaryClassification) for regulariser in regularisers)
        if recognised != isinstance(critic, AuxiliaryCritic):
            found = f"{type(critic).__name__} {'with' if recognised else 'without'} AuxiliaryClassification"
            raise TypeError(f"expected an AuxiliaryCritic and an AuxiliaryClassification together, got {found}")
        self.critic, self.adversarial = critic, loss
        self.augment = nn.Identity() if augment is None else augment
        self.classes, self.pack = int(getattr(critic, "classes", 0)), int(getattr(critic, "pack", 1))
        if self.classes and self.classes != getattr(prior, "classes", 0):
            raise ValueError(
                f"expected a prior whose codes end in a one-hot label of critic.classes = {self.classes} classes, "
                f"got prior.classes = {getattr(prior, 'classes', 0)}"
            )
        self.regularisers = nn.ModuleList(regularisers)
        self._bind(regularisers)

    def _bind(self, regularisers: Sequence[Regulariser]) -> None:
        """Prepare regularisers for this model, or refuse them."""
        space, found = self.latent_space, set[str]()
        for regulariser in regularisers:
            if isinstance(regulariser, GeneratorRegulariser):
                regulariser.check(space.prior)
                regulariser.bind(space.prior.manifold)
            elif isinstance(regulariser, JointRegulariser):
                regulariser.bind(self.critic, space)
            elif isinstance(regulariser, CriticRegulariser):
                regulariser.pack = self.pack
            elif not isinstance(regulariser, ScoreRegulariser | AuxiliaryClassification):
                raise TypeError(f"expected a CriticRegulariser or a GeneratorRegulariser, got {type(regulariser)}")
            if regulariser.name in found:
                raise ValueError(f"expected regularisers of different classes, got {type(regulariser).__name__} twice")
            found.add(regulariser.name)

    def forward(self, z: Tensor) -> Tensor:
        """Return generated observations (N, *shape), in data units, at codes (N, d)."""
        return self.latent_space.raw(z)

    def contract(self) -> Contract:
        """Return the requirements on a batch, which include labels if the critic is conditional."""
        if not self.classes:
            return super().contract()
        expected = f"a conditional critic expected labels from 0 to {self.classes - 1}"
        labels = AllowedRange(expected, 0, self.classes - 1)
        return replace(super().contract(), owner="a conditional critic", demands=("label",), labels=labels)

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:  # type: ignore[override]
        """Return generated observations (N, *shape) at codes (N, d)."""
        return self(batch)

    def _takes_batches(self) -> bool:
        return not self.trainer.predicting  # from codes, which may be anything

    def players(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters of the critic, and of generator and prior, with those of their regularisers."""
        critic, generator = list(self.critic.parameters()), [*self.generator.parameters(), *self.code_parameters()]
        for regulariser in self.regularisers:
            of_generator = isinstance(regulariser, GeneratorRegulariser)
            (generator if of_generator else critic).extend(regulariser.parameters())
        return critic, generator

    def critic_terms(self, batch: Batch, updates: int | None) -> Mapping[str, Tensor]:
        """Return the adversarial loss of the critic, and its penalties."""
        with torch.no_grad():
            real, z, plain = self._play(batch)
            fake = self._generate(z, real.dtype)
        real = packs(real, self.pack)
        if updates is None:
            return {"adversarial": self.adversarial.critic(plain(real), plain(fake))}
        critic = self._augmented(plain)
        (scores, recognised), (against, also) = (self._judged(x, z, critic, updates) for x in (real, fake))
        self._observe(scores.detach())
        terms = {"adversarial": self.adversarial.critic(scores, against)}
        terms |= {name: term + also[name] for name, term in recognised.items()}
        terms |= self._penalties(CriticRegulariser, updates, critic, real, fake)
        terms |= self._penalties(ScoreRegulariser, updates, scores, against)
        return terms | self._joint_terms(critic, z, real, fake, against, updates, generator=False)

    def generator_terms(self, batch: Batch, updates: int) -> Mapping[str, Tensor]:
        """Return the adversarial loss of the generator, and its penalties."""
        real, z, plain = self._play(batch)
        critic, single = self._augmented(plain), self.generator(z).to(real.dtype)
        real, fake = packs(real, self.pack), packs(single, self.pack)
        scores, recognised = self._judged(fake, z, critic, updates)
        against = critic(real) if self.adversarial.relative else scores
        terms = {"adversarial": self.adversarial.generator(against, scores)} | recognised
        terms |= self._penalties(GeneratorRegulariser, updates, self.generator, z, single)
        return terms | self._joint_terms(critic, z, real, fake, scores, updates, generator=True)

    def _joint_terms(
        self, critic: Scores, z: Tensor, real: Tensor, fake: Tensor, scores: Tensor, updates: int, generator: bool
    ) -> dict[str, Tensor]:
        """Return the terms of one player that the other has too, in full precision."""
        joint = [one for one in self.regularisers if isinstance(one, JointRegulariser)]
        generate = partial(self._generate, dtype=real.dtype)
        play = Play(critic, self.critic, self._augment, generate, z, real, fake, scores)
        with torch.autocast(self.device.type, enabled=False):
            return {name: term for one in joint for name, term in one.terms(play, updates, generator).items()}

    def _generate(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        """Return generated observations as the critic sees them, in packs."""
        return packs(self.generator(z).to(dtype), self.pack)

    def _play(self, batch: Batch) -> tuple[Tensor, Tensor, Scores]:
        """Return real observations, as many codes, and the critic, conditioned on the labels if it has classes."""
        real = self.decoder.inverse(batch["x"])
        z = self.codes(len(real))
        if not self.classes:
            return real, z, self.critic
        if "label" not in batch:
            raise ValueError("a conditional critic expected batches with a label, got none")
        z = with_class(z, batch["label"], self.classes)
        if isinstance(self.critic, AuxiliaryCritic):
            return real, z, self.critic
        return real, z, partial(self.critic, label=z[:, -self.classes :])

    def _judged(self, x: Tensor, z: Tensor, critic: Scores, updates: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return scores and, of an auxiliary critic, the weighted cross-entropy of the labels within the codes."""
        if not isinstance(self.critic, AuxiliaryCritic):
            return critic(x), {}
        scores, logits = self.critic.judge(self._augment(x))
        label = z[:, -self.classes :]
        return scores, self._penalties(AuxiliaryClassification, updates, logits, label)

    def _augmented(self, critic: Scores) -> Scores:
        return lambda x: critic(self._augment(x))

    def _augment(self, x: Tensor) -> Tensor:
        """Return augmented observations, each by itself if they come in packs."""
        return augmented(x, self.augment, self.pack)

    def _observe(self, real_scores: Tensor) -> None:
        """Report the critic's overfitting, averaged over processes, to an adaptive augmentation."""
        if isinstance(self.augment, AdaptiveAugment):
            overfitting, world = real_scores.sign().mean(), 1
            if self._trainer is not None:
                world = self.trainer.world_size
                overfitting = self.trainer.strategy.reduce(overfitting, reduce_op="mean")
            self.augment.observe(overfitting, len(real_scores) * self.pack * world)

    def _penalties(self, side: type[Regulariser], updates: int, *arguments: Any) -> dict[str, Tensor]:
        """Return the weighted penalties of one player, those that are due, in full precision."""
        due = [r for r in self.regularisers if isinstance(r, side) and r.factor(updates)]
        with torch.autocast(self.device.type, enabled=False):
            return {regulariser.name: regulariser.factor(updates) * regulariser(*arguments) for regulariser in due}
