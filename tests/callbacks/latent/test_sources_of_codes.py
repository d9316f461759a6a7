"""Samples from codes of the data, and imputations, through a short training."""

import csv

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor

from lsgen.callbacks import Decoding
from lsgen.callbacks.evaluation.imputations import Imputations
from lsgen.callbacks.latent.samples import Samples
from lsgen.data import Arrays, Digits
from lsgen.latent import Deterministic, HypersphericalUniform, StandardNormal, samplers
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.models import VAE
from lsgen.models.vae import Autoencoder, MissingDataIWAE
from lsgen.nn import MLPDecoder, MLPEncoder

SHAPE = (1, 8, 8)


class Recorder(samplers.FromAggregatePosterior):
    def learn(self, codes: Tensor) -> None:
        super().learn(codes)
        self.seen = codes.clone()


def _trainer(path, callback, logger=False) -> Trainer:
    return Trainer(
        accelerator="cpu", max_steps=2, default_root_dir=str(path), logger=logger, callbacks=[callback],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        use_distributed_sampler=False,
    )  # fmt: skip


def _autoencoder() -> VAE:
    encoder, decoder = MLPEncoder(SHAPE, 2, (8,), heads=1), MLPDecoder(2, SHAPE, (8,))
    return VAE(encoder, decoder, FixedGaussian(SHAPE), StandardNormal(2), Autoencoder(), Deterministic())


@pytest.mark.slow
def test_a_sampler_is_fitted_to_the_codes_of_training_observations(tmp_path) -> None:
    model, data, sampler = _autoencoder(), Digits(), Recorder()
    _trainer(tmp_path, Samples(every_n_steps=2, n=8, sampler=sampler, codes=50, decoding=Decoding(chunk_size=20))).fit(
        model, data
    )
    with torch.no_grad():
        expected = model.latent_space.encode(data.probe(50, "train")["x"]).mean
    torch.testing.assert_close(sampler.seen, expected)
    assert (tmp_path / "figures" / "sample" / "grid" / "00000002.png").is_file()


def test_samplers_that_do_not_fit_the_model_are_refused_before_any_work(tmp_path) -> None:
    encoder, decoder = MLPEncoder(SHAPE, 3, (8,), heads=1), MLPDecoder(3, SHAPE, (8,))
    sphere = VAE(encoder, decoder, FixedGaussian(SHAPE), HypersphericalUniform(3), Autoencoder(), Deterministic())
    with pytest.raises(ValueError, match="FromGaussianMixture expected codes in flat space, got a Sphere"):
        _trainer(tmp_path, Samples(sampler=samplers.FromGaussianMixture())).fit(sphere, Digits())
    loader = Digits().train_dataloader()
    with pytest.raises(TypeError, match=r"FromAggregatePosterior expected a lsgen.data.DataModule to take codes from"):
        _trainer(tmp_path, Samples(sampler=samplers.FromAggregatePosterior())).fit(_autoencoder(), loader)


@pytest.mark.slow
def test_imputations_are_compared_on_held_out_gaps(tmp_path) -> None:
    from pytorch_lightning.loggers import CSVLogger

    methods = ("mean", "knn", "miwae", "pseudo_gibbs")
    encoder, decoder = MLPEncoder(SHAPE, 2, (8,)), MLPDecoder(2, SHAPE, (8,))
    model = VAE(encoder, decoder, Bernoulli(SHAPE), StandardNormal(2), MissingDataIWAE(2))
    data = Digits(missing=0.5, val_size=20)
    callback = Imputations(every_n_steps=2, n=10, draws=4, samples=20, methods=methods)
    trainer = _trainer(tmp_path, callback, CSVLogger(tmp_path))
    trainer.fit(model, data)
    trainer.logger.save()
    with (next(tmp_path.glob("**/metrics.csv"))).open() as file:
        row = {key: value for line in csv.DictReader(file) for key, value in line.items() if value}
    for method in methods:
        assert 0 < float(row[f"reconstruction/imputation/{method}/rmse"]) < 1
        assert 0 <= float(row[f"reconstruction/imputation/{method}/coverage"]) <= 1
    assert (tmp_path / "figures" / "reconstruction" / "imputation" / "00000002.png").is_file()


def test_data_without_gaps_are_refused_before_any_work(tmp_path) -> None:
    with pytest.raises(ValueError, match=r'Imputations expected batches with "observed", got none: set data.missing'):
        _trainer(tmp_path, Imputations()).fit(_autoencoder(), Digits())


def test_gaps_without_a_truth_are_refused_before_any_work(tmp_path) -> None:
    x = torch.rand(40, *SHAPE)
    x[:, :, 2] = torch.nan
    torch.save(x, tmp_path / "x.pt")
    data = Arrays(path=str(tmp_path / "x.pt"), missing="mask")
    with pytest.raises(ValueError, match=r"Imputations expected gaps in the val observations whose true values are"):
        _trainer(tmp_path, Imputations()).fit(_autoencoder(), data)
