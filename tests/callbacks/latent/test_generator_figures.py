"""What callbacks say of a generator's samples and of the codes of observations."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsgen.callbacks import GeometryDetail, InversionSearch, LatentGeometry, LatentTraversal, RealSet, TraversalFigures
from lsgen.callbacks.evaluation.class_comparison import ClassComparison
from lsgen.callbacks.evaluation.decoupling import Decoupling
from lsgen.callbacks.evaluation.neighbours import NearestNeighbours
from lsgen.callbacks.latent.inversion import Inversions
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.cli import main
from lsgen.data import Digits
from lsgen.geometry import immersion, metric
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.latent.families.product import OneHot, Product
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.quality import DatasetClassifier, Halves, Moments, NetworkFeatures, Pixels, frechet_distance
from lsgen.models.gan import GAN, NonSaturating, sefa, style_space
from lsgen.models.gan.space import GeneratorSpace
from lsgen.nn.adversarial.stylegan import StyleGenerator

SHAPE = (1, 8, 8)
SPACES = ("z", "w", "w+")


class Stored(nn.Module):
    """A generator that repeats training digits: those of the class, or, without classes, any."""

    def __init__(self, data: Digits, classes: int = 0, noise: float = 0.0) -> None:
        super().__init__()
        train = data.dataset("train")
        batch = train[torch.arange(len(train))]
        self.register_buffer("x", batch["x"])
        self.register_buffer("label", batch["label"])
        self.classes, self.noise = classes, noise

    def forward(self, z: Tensor) -> Tensor:
        chosen = []
        for code in z:
            same = (self.label == code[-10:].argmax()).nonzero()[:, 0] if self.classes else torch.arange(len(self.x))
            chosen.append(same[int(code[0].abs() * 1e4) % len(same)])
        x = self.x[torch.stack(chosen)]
        return x + self.noise * torch.randn_like(x)


def _turn(callback: Any, space: LatentSpace, tmp_path: Path, data: Digits) -> dict[str, float]:
    callback._data = data
    sink = Sink(tmp_path, 1)
    callback.run(space, Probe(data.dataset("val")[torch.arange(64)]["x"]), sink)
    return dict(sink._scalars)


def _space(generator: nn.Module, classes: int = 0) -> LatentSpace:
    prior = Product([StandardNormal(2), OneHot(10)]) if classes else StandardNormal(2)
    return GeneratorSpace(generator, FixedGaussian(SHAPE), prior)


def test_a_generator_that_repeats_the_data_is_found_out(tmp_path: Path) -> None:
    data = Digits()
    callback = NearestNeighbours(Pixels(SHAPE), n=3, k=2, n_ratio=100)
    assert _turn(callback, _space(Stored(data)), tmp_path, data)["sample/neighbours/ratio"] < 1e-3
    noisy = _turn(callback, _space(Stored(data, noise=1.0)), tmp_path / "noisy", data)
    assert noisy["sample/neighbours/ratio"] > 1.5
    kept = np.load(tmp_path / "figures/sample/neighbours/grid/00000001.npz")
    assert kept["distances"].shape == (3, 2)
    assert kept["distances"][:, 0].max() < 1e-3
    assert (kept["distances"][:, 1] > kept["distances"][:, 0]).all()
    assert str(kept["extractor"]) == "pixels"
    picture = np.asarray(Image.open(tmp_path / "figures/sample/neighbours/grid/00000001.png"))
    train = data.dataset("train")
    for row in kept["indices"]:
        image = train[torch.tensor(row[:1])]["x"][0, 0]
        pixels = np.kron((255 * image).round().byte().numpy(), np.ones((6, 6), np.uint8))
        starts = np.argwhere(picture[:-47, :-47, 0] == pixels[0, 0])
        found = [(r, c) for r, c in starts if (picture[r : r + 48, c : c + 48, 0] == pixels).all()]
        assert len(found) >= 2  # the sample and its first neighbour


def test_distances_within_classes_are_those_of_the_conditioned_samples(tmp_path: Path) -> None:
    data = Digits()
    callback = ClassComparison(Pixels(SHAPE), n=40, chunk_size=16, real=RealSet(n=800))
    values = _turn(callback, _space(Stored(data, classes=10), 10), tmp_path, data)
    kept = np.load(tmp_path / "figures/sample/classes/00000001.npz")
    assert values["sample/classes/intra_fd_pixels"] == pytest.approx(kept["distances"].mean())
    assert values["sample/classes/worst_fd_pixels"] == pytest.approx(kept["distances"].max())
    assert (int(kept["n_real"]), int(kept["n_fake"])) == (800, 400)
    ignored = _turn(callback, _space(Stored(data), 10), tmp_path / "any", data)
    assert ignored["sample/classes/intra_fd_pixels"] > 2 * values["sample/classes/intra_fd_pixels"]
    pooled = NetworkFeatures(nn.Sequential(nn.AvgPool2d(4), nn.Flatten()), "pooled", 4)
    callback = ClassComparison(pooled, n=60, real=RealSet(n=800), halves=Halves(8))
    key = "sample/classes/intra_fd_pooled"
    for classes, right in ((10, True), (0, False)):
        values = _turn(callback, _space(Stored(data, classes), 10), tmp_path / f"{classes} classes", data)
        low, middle, high = (values[f"{key}_unbiased{end}"] for end in ("_low", "", "_high"))
        assert low < middle < min(high, values[key])
        assert (low <= 0 <= high) is right, "samples that have their class are at distance 0"
    train = data.dataset("train")
    everything = train[torch.arange(len(train))]["x"].flatten(1)
    moments = Moments(len(everything), everything.double().mean(0), torch.cov(everything.double().T))
    assert frechet_distance(moments, moments) < 1e-6


def _linear() -> LatentSpace:
    torch.manual_seed(0)
    return _space(nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, SHAPE)))


@pytest.mark.parametrize("encoder", [None, nn.Sequential(nn.Flatten(), nn.Linear(64, 2))])
def test_inversion_finds_samples_and_the_nearest_of_what_is_none(tmp_path: Path, encoder: nn.Module | None) -> None:
    data, space = Digits(), _linear()
    callback = Inversions(
        n=8, columns=4, encoder=encoder, encoder_steps=300, search=InversionSearch(steps=150, restarts=2)
    )
    before = None if encoder is None else [p.clone() for p in encoder.parameters()]
    values = _turn(callback, space, tmp_path, data)
    x = data.dataset("val")[torch.arange(8)]["x"].flatten(1)
    W, b = space.decoder[0].weight.detach(), space.decoder[0].bias.detach()
    projection = W @ torch.linalg.pinv(W)
    expected = ((x - b) - (x - b) @ projection.T).square().mean()
    assert values["reconstruction/inversion/error"] == pytest.approx(expected.item(), rel=1e-2)
    assert values["reconstruction/inversion/error_of_samples"] < 1e-4
    assert ("reconstruction/inversion/encoder_share" in values) == (encoder is not None)
    assert (tmp_path / "figures/reconstruction/inversion/grid/00000001.png").exists()
    if encoder is not None and before is not None:
        assert all(torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))


@pytest.mark.slow
def test_a_checkpoint_of_a_game_is_drawn_though_its_samples_are_judged_while_training(tmp_path: Path) -> None:
    run, few = (
        tmp_path / "run",
        {"comparison.n": 50, "inversion.n": 2, "inversion.search.steps": 2, "traversal.figures.frames": 2},
    )
    quick = [f"++callbacks.{key}={value}" for key, value in few.items()]
    settings = ["model.max_steps=2", "trainer.limit_test_batches=1", "logger=none", "report=false", *quick]
    assert main(["train", "experiment=wgan_gp_digits", f"run_dir={run}", *settings]) == 0
    drawn = run / "figures/traversal/axes/00000002.png"
    before = drawn.read_bytes()
    drawn.unlink()
    assert main(["traverse", str(run)]) == 0
    assert drawn.read_bytes() == before


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NearestNeighbours expected k of at least 1, got 0"):
        NearestNeighbours(Pixels(SHAPE), k=0)
    with pytest.raises(ValueError, match="ClassComparison expected n >= 2 and chunk_size >= 1, got 1 and 500"):
        ClassComparison(Pixels(SHAPE), n=1)
    with pytest.raises(ValueError, match="Inversions expected n and columns of at least 1, got 0 and 16"):
        Inversions(n=0)
    with pytest.raises(ValueError, match="Inversions expected observations"):
        Inversions().run(_linear(), None, Sink(tmp_path, 1))


class Bars(nn.Module):
    """A generator whose first coordinate alone mixes two digits; the others add nothing, or, coupled, as much."""

    def __init__(self, data: Digits, coupled: bool) -> None:
        super().__init__()
        train = data.dataset("train")
        batch = train[torch.arange(len(train))]
        zero, one = (batch["x"][batch["label"] == c][0] for c in (0, 1))
        self.register_buffer("ends", torch.stack([zero, one]))
        self.coupled = coupled

    def forward(self, z: Tensor) -> Tensor:
        t = torch.sigmoid(3 * (z.sum(1) / 4**0.5 if self.coupled else z[:, 0]))[:, None, None, None]
        return torch.lerp(self.ends[:1], self.ends[1:], t)


@pytest.mark.slow
def test_one_dimension_for_a_class_is_sparse_and_a_shared_one_is_not(tmp_path: Path) -> None:
    data = Digits()
    classifier = DatasetClassifier(SHAPE, dim=16, steps=150)
    callback = Decoupling(classifier, n=40, n_class=10, iterations=60)
    values = []
    for coupled in (False, True):
        space = GeneratorSpace(Bars(data, coupled), FixedGaussian(SHAPE), StandardNormal(4))
        values.append(_turn(callback, space, tmp_path / str(coupled), data))
    assert values[0]["sample/decoupling/hoyer"] == pytest.approx(1, abs=1e-5)
    assert values[0]["sample/decoupling/gini"] == pytest.approx(1, abs=1e-5)
    assert values[1]["sample/decoupling/hoyer"] == pytest.approx(0, abs=1e-5)
    assert values[1]["sample/decoupling/gini"] == pytest.approx(0, abs=1e-5)
    assert values[0]["sample/decoupling/hoyer_optimised"] > values[1]["sample/decoupling/hoyer_optimised"] + 0.2
    assert values[0]["sample/decoupling/accuracy"] > 0.8
    kept = np.load(tmp_path / "False/figures/sample/decoupling/00000001.npz")
    assert kept["sensitivity"].shape == kept["sensitivity_optimised"].shape == (10, 4)
    with pytest.raises(ValueError, match=r"n_class of at most n, got 1\.0, 100 and 32 of 8"):
        Decoupling(classifier, n=8)


def _style_gan(batches: int) -> tuple[GAN, DataLoader]:
    torch.manual_seed(0)
    generator = StyleGenerator(3, SHAPE, width=4, channels=(6, 4), mapping_layers=1)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))
    gan = GAN(generator, critic, FixedGaussian(SHAPE), StandardNormal(3), NonSaturating(), value_range=(0, 1))
    return gan, DataLoader([{"x": torch.rand(SHAPE)} for _ in range(4 * batches)], batch_size=4)


@pytest.mark.slow
def test_spaces_of_styles_are_looked_at_beside_z_under_keys_of_their_own(tmp_path: Path) -> None:
    gan, data = _style_gan(batches=2)
    figures = TraversalFigures(frames=2, plane_points=2)
    few = {"every_n_steps": 2, "points": 2, "anchors": 1, "figures": figures}
    looks = [LatentTraversal(**few, space=space, directions=sefa if space == "w" else None) for space in SPACES]
    geometry = LatentGeometry(
        2, space="w", n=2, plane_points=2, detail=GeometryDetail(pairs=1, intervals=2, kl_probes=4)
    )
    logger = CSVLogger(tmp_path)
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=logger,
        callbacks=[*looks, geometry],
        max_epochs=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(gan, data)
    logger.save()
    logged = set((Path(logger.log_dir) / "metrics.csv").read_text().splitlines()[0].split(","))
    for part in ("", "w/", "w_plus/"):
        assert f"traversal/{part}share_of_training" in logged
        for key in (f"traversal/{part}axes", f"traversal/{part}plane", f"interpolation/{part}linear"):
            assert (tmp_path / "figures" / key / "00000002.png").exists(), key
    assert {path.name for path in (tmp_path / "figures/traversal").glob("*/directions")} == {"directions"}
    found = np.load(tmp_path / "figures/traversal/w/directions/00000002.npz")
    assert found["vectors"].shape[1] == 4
    measured = np.load(tmp_path / "figures/geometry/w/measurements/00000002.npz")
    w, g = torch.from_numpy(measured["z"]), metric(immersion(style_space(gan.eval())), torch.from_numpy(measured["z"]))
    assert w.shape == (2, 4)
    expected = torch.linalg.eigvalsh(g.detach().double()).flip(-1)
    np.testing.assert_allclose(measured["eigenvalues"], expected.numpy(), rtol=1e-3)
    assert "geometry/w/log_volume/q50" in logged
    assert not [key for key in logged if key.startswith("geometry/") and not key.startswith("geometry/w/")]


def test_spaces_of_styles_need_a_style_based_generator() -> None:
    plain, _ = _style_gan(batches=1)
    plain.latent_space = _linear()
    with pytest.raises(TypeError, match="expected a model with a StyleGenerator, got Sequential"):
        LatentTraversal(space="w").check(plain)
    with pytest.raises(ValueError, match=r"LatentGeometry expected space to be z, w or w\+, got 'x'"):
        LatentGeometry(space="x")
    with pytest.raises(ValueError, match=r"expected sigmas in the space w\+, where no codes are, got quantile"):
        LatentTraversal(space="w+", quantile=0.1)
