"""The factor callback, against data whose codes and factors are related by construction."""

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from lsgen.callbacks import FactorMetrics
from lsgen.data import Correlation, CountedCells, Digits, Sprites
from lsgen.latent import StandardNormal
from lsgen.likelihoods import Bernoulli, Poisson
from lsgen.metrics.disentanglement import disentanglement_metrics
from lsgen.models.vae import ELBO, VAE
from lsgen.nn import Conv64Decoder, MLPDecoder, MLPEncoder


class Centroid(nn.Module):
    """Codes are the centre of mass of an image; a third latent is silent."""

    dim, heads = 3, 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = x[:, 0] / x.sum((1, 2, 3))[:, None, None]
        at = torch.linspace(-1, 1, 64)
        mean = torch.stack([(weight.sum(1) * at).sum(1), (weight.sum(2) * at).sum(1), torch.zeros(len(x))], 1)
        return torch.cat([mean, torch.zeros_like(mean)], 1)


def _measure(model: VAE, data, n: int = 600, preset: str | None = "fast") -> dict[str, float]:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_test_batches=1,
        callbacks=[FactorMetrics(n=n, preset=preset)],
    )
    (values,) = trainer.test(model, data, verbose=False)
    return values


def test_positions_are_linear_in_the_centre_of_mass() -> None:
    shape = (1, 64, 64)
    model = VAE(Centroid(), Conv64Decoder(3, shape), Bernoulli(shape), StandardNormal(3), ELBO())
    values = _measure(model, Sprites())
    for name in ("posX", "posY"):
        assert values[f"test/factor/{name}/r2"] > 0.98
        assert values[f"test/factor/{name}/r2_single"] == pytest.approx(values[f"test/factor/{name}/r2"], abs=0.02)
    assert values["test/factor/shape/r2"] < 0.2


@pytest.mark.slow
def test_scores_are_those_of_the_metrics_on_the_same_codes() -> None:
    shape, data = (1, 64, 64), Sprites()
    model = VAE(Centroid(), Conv64Decoder(3, shape), Bernoulli(shape), StandardNormal(3), ELBO())
    values = _measure(model, data)
    probe = data.probe(600, "test")
    codes = model.latent_space.encode(probe["x"]).mean
    for name, metric in disentanglement_metrics("fast").items():
        metric.update(codes, probe["factors"])
        terms = metric.terms()
        parts = {"dci_5_rounds": ["disentanglement", "completeness", "informativeness"]}
        parts |= {"infomec": list(metric.parts), "jemmig": list(metric.parts)}
        for part in parts.get(name, [None]):
            key = f"test/disentanglement/{name}" + (f"/{part}" if part else "")
            assert values[key] == pytest.approx(terms[part or metric.part].item(), abs=1e-6), key
    assert len([key for key in values if key.startswith("test/disentanglement/")]) == 8 + 3 + 3 + 2 + 10


@pytest.mark.slow
def test_observations_that_the_test_set_lacks_are_those_of_the_validation_set() -> None:
    shape, data = (1, 64, 64), Sprites(val_size=200, test_size=150)
    model = VAE(Centroid(), Conv64Decoder(3, shape), Bernoulli(shape), StandardNormal(3), ELBO())
    for n, taken in ((300, (150, 150)), (1000, (150, 200)), (100, (100, 0))):
        values = _measure(model, data, n=n)
        splits = zip(taken, ("test", "val"), strict=True)
        probes = [data.probe(count, split) for count, split in splits if count]
        metric = disentanglement_metrics("fast")["mig"]
        for probe in probes:
            metric.update(model.latent_space.encode(probe["x"]).mean, probe["factors"])
        assert values["test/disentanglement/mig"] == pytest.approx(metric.compute().item(), abs=1e-6)


@pytest.mark.parametrize(("preset", "n"), [("fast", 5_000), ("full", 15_000), (None, 5_000)])
def test_as_many_observations_are_measured_as_the_preset_expects(preset: str | None, n: int) -> None:
    assert FactorMetrics(preset=preset).n == n
    assert FactorMetrics(n=7, preset=preset).n == 7


def test_scores_can_be_left_out_and_factors_that_do_not_vary_are() -> None:
    shape, data = (1, 64, 64), Sprites()
    model = VAE(Centroid(), Conv64Decoder(3, shape), Bernoulli(shape), StandardNormal(3), ELBO())
    assert not [key for key in _measure(model, data, preset=None) if key.startswith("test/disentanglement/")]
    probe = data.probe(600, "test")
    probe["factors"][:, :4] = 1
    data.probe = lambda n, split: probe
    scores = {key for key in _measure(model, data) if key.startswith("test/disentanglement/")}
    alone = [name for name, metric in disentanglement_metrics("fast").items() if metric.least_factors == 1]
    named = {"jemmig/score", "jemmig/nats"} | set(alone) - {"jemmig"}
    assert scores == {f"test/disentanglement/{name}" for name in named}


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_observations_does_not_end_in_an_error(n: int) -> None:
    shape = (1, 64, 64)
    model = VAE(Centroid(), Conv64Decoder(3, shape), Bernoulli(shape), StandardNormal(3), ELBO())
    assert "test/disentanglement/mig" in _measure(model, Sprites(), n=n)


def test_one_observation_has_no_scores_and_is_no_error() -> None:
    shape = (1, 64, 64)
    model = VAE(Centroid(), Conv64Decoder(3, shape), Bernoulli(shape), StandardNormal(3), ELBO())
    values = _measure(model, Sprites(), n=1)
    assert "test/factor/posX/r2" in values
    assert not [key for key in values if key.startswith("test/disentanglement/")]


def test_a_single_factor_has_its_regression() -> None:
    shape = (60,)
    model = VAE(MLPEncoder(shape, 2), MLPDecoder(2, shape), Poisson(shape), StandardNormal(2), ELBO())
    assert "test/factor/batch/r2" in _measure(model, CountedCells(covariates=["batch"]))


def test_data_without_factors_are_left_alone() -> None:
    shape = (1, 8, 8)
    model = VAE(MLPEncoder(shape, 2), MLPDecoder(2, shape), Bernoulli(shape), StandardNormal(2), ELBO())
    keys = _measure(model, Digits())
    assert not [key for key in keys if key.startswith(("test/factor", "test/disentanglement"))]


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="expected n and chunk_size of at least 1, got 0 and 500"):
        FactorMetrics(n=0)
    with pytest.raises(ValueError, match='expected preset "full" or "fast", got \'quick\''):
        FactorMetrics(preset="quick")


def test_dependent_factors_are_said_and_every_pair_has_its_entanglement() -> None:
    shape = (1, 64, 64)
    model = VAE(Centroid(), Conv64Decoder(3, shape), Bernoulli(shape), StandardNormal(3), ELBO())
    data = Sprites(correlation=Correlation("posX", "posY", 0.2, splits=("test",)))
    with pytest.warns(UserWarning, match=r"a dependence of posX and posY \(Cramér's V 0.\d\d\): mig, .*jemmig charge"):
        values = _measure(model, data)
    start = "test/disentanglement/dci_5_rounds/entanglement/"
    pairs = {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}
    assert len(pairs) == 10
    assert all(0 <= value <= 1 for value in pairs.values())
    assert pairs["posX_posY"] < 0.5, "codes are the positions themselves"
