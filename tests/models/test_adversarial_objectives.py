"""FactorVAE and WAE-GAN: each side's gradient, the density ratio, and training with two optimisers."""

from functools import partial

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.utils.data import DataLoader, Dataset

from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models import VAE
from lsgen.models.vae import ELBO, WAEGAN, AdversarialObjective, BetaTCVAE, FactorVAE, Objective
from lsgen.models.vae.aggregate.factor_vae import permute_dimensions
from lsgen.nn import CodeDiscriminator, MLPDecoder, MLPEncoder

D, d = 5, 3


def _vae(objective: Objective, **kwargs) -> VAE:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder((D,), d, hidden=[8]), MLPDecoder(d, (D,), hidden=[8])
    return VAE(encoder, decoder, FixedGaussian((D,)), StandardNormal(d), objective, **kwargs)


def _objective(kind: type[AdversarialObjective], **kwargs) -> AdversarialObjective:
    torch.manual_seed(1)
    return kind(CodeDiscriminator(d, hidden=[16, 16]), **kwargs)


class _Rows(Dataset):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"x": torch.randn(D, generator=torch.Generator().manual_seed(i))}


def _fit(model: VAE, callbacks=(), **kwargs) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **kwargs,
    )
    trainer.fit(model, DataLoader(_Rows(), batch_size=8), DataLoader(_Rows(), batch_size=8))
    return trainer


@pytest.mark.parametrize("kind", [FactorVAE, WAEGAN])
def test_one_backward_pass_gives_each_side_its_own_gradient(kind: type[AdversarialObjective]) -> None:
    objective = _objective(kind)
    space, batch = _vae(objective).latent_space, {"x": torch.randn(16, D)}
    theirs, ours = list(objective.discriminator.parameters()), list(space.parameters())

    def gradients(ours_in: bool, theirs_in: bool) -> list[Tensor | None]:
        torch.manual_seed(2)
        losses, codes = objective.losses_and_codes(space, batch, 0)
        loss = ours_in * losses.loss + theirs_in * objective.adversary_loss(space, codes.detach())
        return list(torch.autograd.grad(loss, ours + theirs, allow_unused=True))

    together = gradients(True, True)
    torch.testing.assert_close(together[: len(ours)], gradients(True, False)[: len(ours)])
    torch.testing.assert_close(together[len(ours) :], gradients(False, True)[len(ours) :])
    assert all(gradient is None or not gradient.any() for gradient in gradients(True, False)[len(ours) :])


class _ExactRatio(nn.Module):
    """log N(z; 0, C) - sum_k log N(z_k; 0, C_kk), scaled."""

    def __init__(self, covariance: Tensor) -> None:
        super().__init__()
        self.precision = torch.linalg.inv(covariance) - torch.diag(1 / covariance.diagonal())
        self.constant = -0.5 * (torch.logdet(covariance) - covariance.diagonal().log().sum())
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        return self.scale * (self.constant - 0.5 * torch.einsum("bi,ij,bj->b", z, self.precision, z))


def test_the_density_ratio_is_what_the_discriminator_converges_to() -> None:
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=torch.float64)
    torch.manual_seed(0)
    z = torch.randn(20_000, 2, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    objective = FactorVAE(_ExactRatio(covariance))
    logits = objective.discriminator(z)
    exact = -0.5 * (torch.logdet(covariance) - covariance.diagonal().log().sum()).item()
    assert logits.mean().item() == pytest.approx(exact, abs=5 * logits.std().item() / len(z) ** 0.5)

    slopes = []
    for part in z.split(400):
        slopes.append(torch.autograd.grad(objective.adversary_loss(None, part), [objective.discriminator.scale])[0])
    stacked = torch.stack(slopes)
    assert abs(stacked.mean().item()) < 5 * stacked.std().item() / len(stacked) ** 0.5
    with torch.no_grad():
        objective.discriminator.scale.fill_(0.5)
    assert torch.autograd.grad(objective.adversary_loss(None, z), [objective.discriminator.scale])[0].item() < 0


def test_permuted_codes_keep_their_marginals_and_lose_their_dependence() -> None:
    torch.manual_seed(0)
    column = torch.randn(5000, 1)
    codes = column.expand(5000, 3).contiguous()
    permuted = permute_dimensions(codes)
    torch.testing.assert_close(permuted.sort(0).values, codes.sort(0).values)
    correlation = torch.corrcoef(permuted.T) - torch.eye(3)
    assert correlation.abs().max().item() < 5 / 5000**0.5


class _Norms(Callback):
    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        for optimizer in trainer.optimizers:
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
            self.norms.append(get_total_norm(gradients).item())


@pytest.mark.parametrize("kind", [FactorVAE, WAEGAN])
def test_generator_steps_count_batches_and_both_sides_learn(kind: type[AdversarialObjective]) -> None:
    model = _vae(_objective(kind))
    before = [p.detach().clone() for p in model.parameters()]
    trainer = _fit(model)
    assert (model.generator_steps, model.images_seen) == (10, 80)
    assert not any(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert torch.isfinite(model.last_losses.scalars["adversary_loss"])
    ours, theirs = (sum(p.numel() for g in o.param_groups for p in g["params"]) for o in trainer.optimizers)
    assert theirs == sum(p.numel() for p in model.objective.discriminator.parameters())
    assert ours == sum(p.numel() for p in model.latent_space.parameters())


def test_step_limit_and_scheduler_count_generator_steps() -> None:
    decay = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    model = _vae(_objective(FactorVAE), max_steps=4, scheduler=decay)
    trainer = _fit(model)
    assert model.generator_steps == 4
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-3 / 2**4)
    assert trainer.optimizers[1].param_groups[0]["lr"] == pytest.approx(1e-4)


def test_each_side_is_clipped_on_its_own_as_the_trainer_says() -> None:
    model, norms = _vae(_objective(FactorVAE)), _Norms()
    _fit(model, [norms], gradient_clip_val=1e-3)
    assert norms.norms == pytest.approx([1e-3] * 20, rel=1e-2)
    _fit(model, gradient_clip_val=1e-3)
    assert model.automatic_optimization


def test_other_objectives_keep_automatic_optimisation() -> None:
    model = _vae(ELBO())
    trainer = _fit(model, accumulate_grad_batches=5)
    assert (model.generator_steps, model.images_seen, trainer.global_step) == (2, 80, 2)


def test_accumulation_is_refused_before_any_work() -> None:
    with pytest.raises(ValueError, match=r"expected trainer\.accumulate_grad_batches = 1, got 2"):
        _fit(_vae(_objective(FactorVAE)), accumulate_grad_batches=2)


def test_size_of_the_training_set_comes_from_the_data() -> None:
    model = _vae(BetaTCVAE())
    _fit(model)
    assert model.objective.observations == 40
