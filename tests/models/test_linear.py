"""Principal components against the maximum of the evidence, scikit-learn, and the exact posterior."""

import pytest
import torch
from pytorch_lightning import Trainer
from sklearn.decomposition import PCA
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.utils.data import DataLoader, Dataset

from lsgen.models import LinearModel
from lsgen.models.vae.bounds.multisample import importance

D, d, N = 6, 2, 300


def _data() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(N, 3, dtype=torch.float64, generator=generator) * torch.tensor([3.0, 1.0, 0.5])
    noise = 0.3 * torch.randn(N, D, dtype=torch.float64, generator=generator)
    return factors.double() @ torch.randn(3, D, dtype=torch.float64, generator=generator) + noise + 2.0


def _evidence(W: Tensor, mean: Tensor, log_sigma: Tensor, x: Tensor) -> Tensor:
    covariance = W @ W.T + torch.exp(2 * log_sigma) * torch.eye(D, dtype=torch.float64)
    return MultivariateNormal(mean, covariance).log_prob(x)


def _parameters(model: LinearModel) -> tuple[Tensor, Tensor, Tensor]:
    decoder = model.latent_space.decoder.layers[0]
    return decoder.weight, decoder.bias, model.latent_space.likelihood.log_sigma


def test_fit_is_where_the_evidence_is_stationary_and_largest() -> None:
    x = _data()
    model = LinearModel((D,), d).double().fit(x)
    parameters = [p.clone().requires_grad_() for p in _parameters(model)]
    best = _evidence(*parameters, x).mean()
    for gradient in torch.autograd.grad(best, parameters):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        moved = [p + 0.1 * torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in _parameters(model)]
        assert _evidence(*moved, x).mean() < best


def test_bound_is_the_evidence_with_every_sample() -> None:
    x = _data()
    model = LinearModel((D,), d).double().fit(x)
    log_w = importance.draw(model.latent_space, x, 3).log_w
    torch.testing.assert_close(log_w, _evidence(*_parameters(model), x).expand(3, N))


def test_components_agree_with_another_library() -> None:
    x = _data()
    other = PCA(d, svd_solver="full").fit(x.numpy())
    model = LinearModel((D,), d, probabilistic=False).double().fit(x)
    z = model.latent_space.encode(x).mean
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(d, dtype=torch.float64))
    expected = torch.from_numpy(other.inverse_transform(other.transform(x.numpy())))
    torch.testing.assert_close(model(x), expected)
    unbiased = torch.from_numpy(other.get_covariance()) * (N - 1) / N
    W, _, log_sigma = _parameters(LinearModel((D,), d).double().fit(x))
    torch.testing.assert_close(W @ W.T + torch.exp(2 * log_sigma) * torch.eye(D, dtype=torch.float64), unbiased)


class _Rows(Dataset):
    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"x": _data()[i].float().reshape(2, 3)}


def test_training_is_one_pass_over_the_data() -> None:
    model = LinearModel((2, 3), d)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=5,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(_Rows(), batch_size=64))
    assert (model.generator_steps, model.images_seen) == (5, N)
    exact = LinearModel((D,), d).fit(_data().float())
    assert model.latent_space.decode(torch.zeros(1, d)).mean.shape == (1, 2, 3)
    for one, other in zip(_parameters(model), _parameters(exact), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_too_many_components_or_too_few_observations_are_refused() -> None:
    with pytest.raises(ValueError, match="expected between 1 and 5 components of 6 values, got 6"):
        LinearModel((D,), 6)
    with pytest.raises(ValueError, match="LinearModel with d = 2 expected at least 4 observations, got 3"):
        LinearModel((D,), 2).fit(torch.randn(3, D))


def test_more_components_than_the_data_have_are_left_empty() -> None:
    line = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None] * torch.ones(D, dtype=torch.float64)
    model = LinearModel((D,), 3, probabilistic=False).double().fit(line)
    torch.testing.assert_close(model(line), line)
    assert bool(torch.isfinite(model.latent_space.encode(line).mean).all())
