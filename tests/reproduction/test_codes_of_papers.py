"""Comparisons of maps and of scores of one class against scikit-learn."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import OneClassSVM

from lsgen.data import Digits
from lsgen.data.transforms import Labels
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.vae import ELBO, VAE
from lsgen.nn import MLPDecoder, MLPEncoder
from lsgen.reproduction.comparisons.map_accuracy import MapAccuracy
from lsgen.reproduction.comparisons.one_class import OneClass, contrast_normalised
from lsgen.reproduction.comparisons.one_class_models import OneClassModels
from lsgen.reproduction.runs import TrainedRun

SHAPE = (1, 8, 8)


def test_accuracy_of_principal_components_is_that_of_scikit_learn_in_the_order_of_the_file():
    found = MapAccuracy(Digits(SHAPE), neighbours=(10,), methods=("pca",), seeds=2)({})
    x, y = load_digits(return_X_y=True)
    exact = cross_val_score(KNeighborsClassifier(10), PCA(2).fit_transform(x), y, cv=StratifiedKFold(10))
    assert found.values["pca_10"] == pytest.approx(100 * exact.mean(), abs=0.1)
    assert found.arrays["pca_10"].shape == (2, 1797)
    assert found.arrays["pca_10"].mean() == pytest.approx(found.values["pca_10"])
    assert MapAccuracy(None)({}).values == {}


def test_contrast_is_normalised():
    x = contrast_normalised(np.random.default_rng(0).random((5, 30)))
    assert x.mean(1) == pytest.approx(0, abs=1e-12)
    assert np.abs(x).mean(1) == pytest.approx(1)
    with pytest.raises(ValueError, match="1 that are constant"):
        contrast_normalised(np.ones((1, 3)))


def test_the_one_class_machine_is_that_of_scikit_learn():
    data = Digits(SHAPE)
    found = OneClass(data, classes=(3,), methods=("ocsvm", "pca"))({})
    train, test = (data.dataset(split)[torch.arange(len(data.dataset(split)))] for split in ("train", "test"))
    x, other = (contrast_normalised(part["x"].flatten(1).double().numpy()) for part in (train, test))
    own = np.random.default_rng(3).permutation(np.flatnonzero(train["label"].numpy() == 3))
    low, high = x[own].min(), x[own].max()
    kept = x[own[round(0.1 * len(own)) :]]
    components = PCA(0.95).fit((kept - low) / (high - low))
    machine = OneClassSVM(nu=0.1).fit(components.transform((kept - low) / (high - low)))
    z = components.transform((other - low) / (high - low))
    strange = test["label"].numpy() != 3
    assert found.values["ocsvm_3"] == pytest.approx(100 * roc_auc_score(strange, -machine.score_samples(z)))
    again = components.inverse_transform(z)
    residual = np.square((other - low) / (high - low) - again).sum(1)
    assert found.values["pca_mean"] == pytest.approx(100 * roc_auc_score(strange, residual))
    assert found.arrays["ocsvm_interval"].shape == (1, 2)
    with pytest.raises(ValueError, match="methods out of ocsvm"):
        OneClass(data, methods=("nothing",))


def test_models_of_one_class_are_judged_by_their_reconstructions():
    torch.manual_seed(0)
    vae = VAE(MLPEncoder(SHAPE, 2, (8,)), MLPDecoder(2, SHAPE, (8,)), FixedGaussian(SHAPE), StandardNormal(2), ELBO())
    own = Digits(SHAPE, labelled=Labels(classes=[3]), val_size=20, test_size=20)
    run = TrainedRun("vae_3", 0, vae.eval(), own, {}, SimpleNamespace())
    data = Digits(SHAPE)
    found = OneClassModels(data, scores=("reconstruction_error", "knn"))({"vae_3": [run]})
    test = data.dataset("test")[torch.arange(len(data.dataset("test")))]
    with torch.no_grad():
        decoded = vae.latent_space.decode(vae.latent_space.encode(test["x"]).mean).mean
    error = (decoded - test["x"]).square().flatten(1).mean(1).numpy()
    exact = 100 * roc_auc_score(test["label"].numpy() != 3, error)
    assert found.values["vae_reconstruction_error_3"] == pytest.approx(exact)
    assert found.values["vae_reconstruction_error_mean"] == pytest.approx(exact)
    assert {"vae_knn_3", "vae_knn_mean", "vae_knn_false_alarms"} <= found.values.keys()
