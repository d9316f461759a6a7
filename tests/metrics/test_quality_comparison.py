"""One pass of one extractor: the values are those of the parts, their names tell the extractor, their row the rest."""

import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from lsgen.callbacks import Neighbourhoods, RealSet
from lsgen.callbacks.evaluation.sample_quality import SampleComparison, SampleQuality
from lsgen.callbacks.logging.loggers import CSVLogger
from lsgen.data import Digits, Toy
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.quality import (
    ClassifierFeatures,
    Comparison,
    DatasetClassifier,
    Inception,
    Moments,
    NetworkFeatures,
    Pixels,
    frechet_distance,
    kernel_distance,
    precision_recall,
    real_features,
    toy_coverage,
)
from lsgen.models.gan import GAN, NonSaturating
from lsgen.nn import MLPDecoder
from lsgen.nn.adversarial.critics import MLPCritic


def _moments(x: torch.Tensor) -> Moments:
    return Moments(len(x), x.double().mean(0), torch.cov(x.double().T))


def test_values_are_those_of_the_parts() -> None:
    real, fake = torch.randn(60, 4), torch.randn(50, 2, 2) + 0.5
    comparison = Comparison(Pixels((2, 2)), real, "train", k=3, subsets=1, subset_size=1000)
    for _ in range(2):
        for part in fake.split(17):
            comparison.update(part)
        row = comparison.provenance()
        assert (row.n_real, row.n_fake, row.split, row.extractor, row.resize) == (60, 50, "train", "pixels", "none")
        values = comparison.compute()
        flat = fake.flatten(1)
        assert values["fd_pixels"] == pytest.approx(frechet_distance(_moments(real), _moments(flat)).item())
        assert values["kid_pixels"] == pytest.approx(kernel_distance(real, flat).item())
        for name, value in precision_recall(real, flat, 3).items():
            assert values[f"{name}_pixels"] == pytest.approx(value.item())
        assert "fid" not in values


def test_real_features_are_stored_under_a_name_that_holds_their_provenance(tmp_path: Path) -> None:
    data, extractor = Digits(), Pixels((1, 8, 8))
    first = real_features(extractor, data, "train", n=100, cache=tmp_path)
    (path,) = tmp_path.glob("*.npy")
    torch.testing.assert_close(real_features(extractor, data, "train", n=100), first)
    real_features(extractor, data, "train", n=99, cache=tmp_path)
    real_features(extractor, data, "test", n=100, cache=tmp_path)
    real_features(extractor, Digits(binarise="threshold"), "train", n=100, cache=tmp_path)
    other = NetworkFeatures(nn.Flatten(), "flat", 64)
    real_features(other, data, "train", n=100, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 5
    path.write_bytes(b"")
    with pytest.raises(EOFError):
        real_features(extractor, data, "train", n=100, cache=tmp_path)
    with pytest.raises(ValueError, match="expected between 1 and 360 observations of the test split, got 361"):
        real_features(extractor, data, "test", n=361)


def test_features_of_networks_do_not_depend_on_the_batch() -> None:
    extractor = NetworkFeatures(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)), "norm", 4)
    extractor.train()
    x = torch.randn(6, 2, 2)
    torch.testing.assert_close(extractor(x)[:2], extractor(x[:2]))


@pytest.mark.slow
def test_the_classifier_learns_and_is_the_same_every_time() -> None:
    data = Digits()
    first, second = (DatasetClassifier((1, 8, 8), dim=16, steps=150) for _ in range(2))
    with pytest.raises(ValueError, match=r"expected prepare\(data\) before"):
        first(torch.zeros(1, 1, 8, 8))
    for extractor in (first, second):
        torch.rand(1)
        extractor.prepare(data)
    assert first.fingerprint() == second.fingerprint()
    assert first.accuracy(data) > 0.8
    assert first.frechet_key() == "fd_classifier"


def test_inception_without_its_parts_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Pixels((2,)).frechet_key() == "fd_pixels"
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ImportError, match=r"Inception expected torch-fidelity: pip install 'lsgen\[quality\]'"):
        Inception()


def test_inception_is_the_network_of_torch_fidelity(tmp_path: Path) -> None:
    peer = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    for path in (None, "nowhere.pth"):
        with pytest.raises(FileNotFoundError, match=f"expected torch-fidelity's weights, got {path}: fetch https"):
            Inception(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.save({}, tmp_path / "weights.pth")
        extractor = Inception(str(tmp_path / "weights.pth"))
    x = torch.rand(1, 1, 32, 32)
    expected = extractor.net((255 * x).round().to(torch.uint8).repeat(1, 3, 1, 1))[0]
    assert torch.equal(extractor(x), expected)
    assert extractor.frechet_key() == "fid"
    extractor.net.features_list = ["logits_unbiased"]  # what torch-fidelity computes the inception score from
    torch.testing.assert_close(extractor.logits(expected), extractor(x))
    assert extractor.score_key() == "inception_score"


class _Sorted(ClassifierFeatures):
    """Observations that are their own logits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        return 1000 * features


def test_a_classifier_scores_how_sure_and_how_varied_samples_are() -> None:
    sure = torch.eye(4).repeat(6, 1)
    halves = torch.cat([torch.eye(4)[:2].repeat(6, 1), torch.eye(4)[:1].repeat(12, 1)])
    for fake, splits, mean, std in ((sure, 3, 4.0, 0.0), (halves, 2, 1.5, 0.5), (halves, 1, 0.75**-0.75 * 4**0.25, 0)):
        comparison = Comparison(_Sorted("sorted", 4), torch.randn(30, 4), "train", 3, 1, 20, splits=splits)
        for part in fake.split(7):
            comparison.update(part)
        assert comparison.provenance().splits == splits
        values = comparison.compute()
        assert (values["sorted_score"], values["sorted_score_std"]) == (pytest.approx(mean), pytest.approx(std))
        assert "inception_score" not in values
    with pytest.raises(ValueError, match=r"n of at least neighbourhoods\.splits = 10, got 9"):
        SampleComparison(DatasetClassifier((1, 8, 8)), n=9)
    with pytest.raises(ValueError, match="expected splits of at least 1, got 0"):
        SampleComparison(Pixels((2,)), neighbourhoods=Neighbourhoods(splits=0))


def test_callbacks_log_values_and_provenance(tmp_path: Path) -> None:
    gan = GAN(
        MLPDecoder(2, (2,), [8]), MLPCritic((2,), [8]), FixedGaussian((2,)), StandardNormal(2), NonSaturating(),
        max_steps=4,
    )  # fmt: skip
    callbacks = [
        SampleQuality({"coverage": toy_coverage("eight_gaussians")}, every_n_steps=2, n=50),
        SampleComparison(
            Pixels((2,)),
            every_n_steps=2,
            n=40,
            chunk_size=16,
            real=RealSet(n=30),
            neighbourhoods=Neighbourhoods(subsets=2, subset_size=20),
        ),
    ]
    trainer = Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=-1, enable_checkpointing=False, callbacks=callbacks,
        logger=CSVLogger(tmp_path), enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(gan, Toy(train_size=200, val_size=10, test_size=10, batch_size=50))
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    wanted = {"sample/quality/modes", "sample/quality/good", "sample/comparison/fd_pixels"}
    assert wanted | {"sample/comparison/kid_pixels", "sample/comparison/precision_pixels"} < set(header)
    stored = sorted((tmp_path / "figures" / "sample" / "comparison").glob("*.npz"))
    assert [path.stem for path in stored] == ["00000002", "00000004"]
    row = dict(__import__("numpy").load(stored[0]))
    assert (str(row["n_real"]), str(row["n_fake"]), str(row["split"])) == ("30", "40", "train")


def test_features_of_another_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected features of shape \(N, 4\), got \(5, 3\)"):
        Comparison(Pixels((2, 2)), torch.zeros(5, 3), "train")
