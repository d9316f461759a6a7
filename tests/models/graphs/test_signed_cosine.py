"""Signed cosines: the authors' step, known codes, years that are turned onto each other, and the Laplace likelihood."""

from math import log
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from pytorch_lightning import Trainer, seed_everything

from lsgen.data import CosineNetwork, KarateClub, Links
from lsgen.geometry import immersion, metric
from lsgen.latent import Sphere
from lsgen.models.graphs import CosineLinks, SignedCosine
from lsgen.models.graphs.signed_cosine import orthogonal_procrustes


def trained(source: CosineNetwork, steps: int, **options: Any) -> tuple[SignedCosine, Links]:
    seed_everything(0)
    data = Links(graph=source, split={"kind": "none"}, batch_size=128 * source.years)
    model = SignedCosine(CosineLinks(source.places * source.years, source.dim), max_steps=steps, **options)
    Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False).fit(model, data)
    return model.eval(), data


@pytest.mark.slow
def test_known_codes_are_found() -> None:
    """Without noise the cosines of codes become those of the known ones, and each year is near the one before."""
    source = CosineNetwork(places=20, dim=3, years=2, noise=0.0, drift=0.1)
    model, _ = trained(source, 500, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.003))
    found = model.latent_space.items()
    assert found.manifold == Sphere()
    z = found.z.reshape(2, 20, 3).astype(float)
    for codes, known in zip(z, source.codes, strict=True):
        assert np.abs(codes @ codes.T - known @ known.T).mean() < 0.02
    moved, wanted = (np.arccos((one * other).sum(1)).mean() for one, other in (z, source.codes))
    assert moved <= wanted + 0.02  # the nearest turn, of which the known codes are one
    assert list(found.columns["year"]) == [2001] * 20 + [2002] * 20


def test_a_step_is_that_of_the_authors() -> None:
    """SGD on one link moves both codes by the gradient that the authors write out, for codes of any length."""
    model = SignedCosine(CosineLinks(4, 5)).double()
    codes = model.latent_space.codes
    w, s = codes.detach().clone().numpy(), 0.4
    optimizer = model.optimizer(model.parameters())
    batch = {"x": torch.tensor([[2, 0]]), "weight": torch.tensor([s])}
    model.loss(batch).loss.backward()
    optimizer.step()
    i, j = w[2], w[0]
    cosine = i @ j / (np.linalg.norm(i) * np.linalg.norm(j))
    steps = [np.zeros(5) for _ in w]
    for row, (a, b) in {2: (i, j), 0: (j, i)}.items():
        slope = b / (np.linalg.norm(a) * np.linalg.norm(b)) - cosine * a / (a @ a)
        steps[row] = 0.01 * np.sign(s - cosine) * slope
    np.testing.assert_allclose(codes.detach().numpy(), w + steps, atol=1e-9)


def test_unit_codes_and_turned_years() -> None:
    """Lengths become 1 and years are turned as scipy does; cosines within a year stay."""
    source = CosineNetwork(places=9, dim=4, years=3)
    model, _ = trained(source, 2)
    codes = model.latent_space.codes
    with torch.no_grad():
        codes.copy_(3 * torch.randn_like(codes))
    before = model.latent_space.table().detach().reshape(3, 9, 4).double().numpy()
    model.end_epoch()
    after = codes.detach().reshape(3, 9, 4).double().numpy()
    expected = [before[0]]
    for year in before[1:]:
        expected.append(year @ scipy.linalg.orthogonal_procrustes(year, expected[-1])[0])
    np.testing.assert_allclose(after, np.stack(expected), atol=1e-5)
    np.testing.assert_allclose(after @ after.swapaxes(-1, -2), before @ before.swapaxes(-1, -2), atol=1e-5)


def test_turns_are_those_of_scipy() -> None:
    """The turn of two tables is the one of scipy, and undoes one that is known."""
    x, y = torch.randn(2, 12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted, _ = scipy.linalg.orthogonal_procrustes(x.numpy(), y.numpy())
    np.testing.assert_allclose(orthogonal_procrustes(x, y).numpy(), wanted, atol=1e-12)
    np.testing.assert_allclose(orthogonal_procrustes(x, x @ torch.from_numpy(wanted)).numpy(), wanted, atol=1e-12)


def test_likelihood_and_fisher_metric() -> None:
    """The loss is the Laplace likelihood up to constants, and the metric of a row is sum dcos^2 / b^2."""
    torch.manual_seed(0)
    model, b, n = SignedCosine(CosineLinks(6, 4, scale=0.3)).double(), 0.3, 6
    space = model.latent_space
    w, s = space.table().detach(), torch.rand(n, dtype=torch.float64)
    found = space.decode(w[2]).log_prob(s)
    torch.testing.assert_close(found.sum(), -(s - w @ w[2]).abs().sum() / b - n * log(2 * b), rtol=1e-6, atol=1e-6)
    z = Sphere().parametrised(torch.tensor([0.3, -1.0, 0.2, 0.5], dtype=torch.float64))
    tangents = Sphere().tangent(z, torch.eye(4, dtype=torch.float64))
    along = tangents @ w.T
    g = metric(immersion(space), z[None])[0].detach()
    torch.testing.assert_close(tangents @ g @ tangents.T, along @ along.T / b**2, rtol=1e-6, atol=1e-6)
    pairs = torch.tensor([[0, 1], [1, 0], [3, 5]])
    torch.testing.assert_close(space.link_scores(pairs), (w[pairs[:, 0]] * w[pairs[:, 1]]).sum(1))


def test_what_is_refused() -> None:
    """A network without weights, one coordinate, a scale of 0, other decoders and batches without weights are."""
    with pytest.raises(ValueError, match="expected links with signed weights, got Graph"):
        SignedCosine(CosineLinks(34, 2)).learn(KarateClub().graph())
    with pytest.raises(ValueError, match="at least 2 coordinates, got model"):
        CosineLinks(4, 1)
    with pytest.raises(ValueError, match="expected a scale > 0"):
        CosineLinks(4, 2, scale=0.0)
    with pytest.raises(TypeError, match="expected CosineLinks as the decoder, got Linear"):
        SignedCosine(torch.nn.Linear(2, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected batches with weights of links, got x"):
        SignedCosine(CosineLinks(4, 2)).loss({"x": torch.zeros(1, 2, dtype=torch.int64)})
