"""Every key that a shipped callback logs is in the registry; the demonstration opens on few charts."""

from pathlib import Path
from typing import Any

import pytest
import torch
import views_of_digits
from named_points import NamedNodes, NamedPoints, word_files
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger
from torch import nn
from torchmetrics import MeanMetric

from lsgen import callbacks
from lsgen.callbacks import (
    AggregateMetrics,
    AnalysisDetail,
    ClassComparison,
    Cloning,
    CollapseWatch,
    Communities,
    Decoupling,
    EvidenceMetrics,
    Explorer,
    FactorMetrics,
    FewShotAccuracy,
    FlowMaps,
    GeodesicSearch,
    GeometryDetail,
    GraphReconstructionTest,
    Imputations,
    Inversions,
    InversionSearch,
    LatentAnalysis,
    LatentDistances,
    LatentGeodesics,
    LatentGeometry,
    LatentTraversal,
    LikelihoodMetrics,
    LinkTests,
    MeanSets,
    Memorisation,
    NearestNeighbours,
    Neighbourhoods,
    NetworkPictures,
    NodeClassification,
    ODELikelihood,
    Paths,
    PerceptualQuality,
    PeriodicCallback,
    PhaseTransitions,
    PlaneGrid,
    RealSet,
    ReconstructionQuality,
    Reconstructions,
    RetrievalQuality,
    Routing,
    SampleComparison,
    SampleQuality,
    Samples,
    TimeTrend,
    TopicQuality,
    TraversalFigures,
    TwoSampleTests,
    WordBenchmarks,
    WordTests,
)
from lsgen.callbacks.logging.sink import Sink
from lsgen.cli import main
from lsgen.data import CosineNetwork, DataModule, Digits, GrowingCitations, KnownTopics, Nodes, Sprites, Toy
from lsgen.latent import HypersphericalUniform, Prior, StandardNormal
from lsgen.latent.families.product import OneHot, Product
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.metrics.quality import ClassifierDistance, DatasetClassifier, Halves, NetworkFeatures, Pixels
from lsgen.metrics.retrieval import Episodes
from lsgen.models import VAE
from lsgen.models.diffusion import Denoiser, Diffusion, LinearLogSNR
from lsgen.models.gan import GAN, NonSaturating, sefa
from lsgen.models.topics import LDA
from lsgen.models.vae import ELBO, MissingDataIWAE
from lsgen.nn import MLPDecoder, MLPDenoiser, MLPEncoder
from lsgen.runs.keys import ENTRIES, LEVELS, find

DIGITS, SPRITES = (1, 8, 8), (1, 64, 64)
OF_TESTS = {"LikelihoodMetrics", "FactorMetrics", "EvidenceMetrics", "ODELikelihood"}


class Everything(Logger):
    """Keeps the keys of all numbers."""

    name, version, log_all = "everything", "0", True

    def __init__(self) -> None:
        super().__init__()
        self.keys: set[str] = set()

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.keys |= set(metrics)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        return


def _run(tmp_path: Path, model: Any, data: DataModule, *hooks: Any, test: bool = False) -> set[str]:
    """Train two steps with callbacks and return the keys of numbers."""
    logger = Everything()
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=2, limit_val_batches=1, limit_test_batches=1,
        default_root_dir=str(tmp_path), logger=logger, callbacks=list(hooks), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1, use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, data)
    if test:
        trainer.test(model, data, verbose=False)
    assert not callbacks.problems_of(trainer)
    return logger.keys


def _vae(shape: tuple[int, ...], objective: Any) -> VAE:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder(shape, 2, (8,), nn.SiLU), MLPDecoder(2, shape, (8,), nn.SiLU)
    return VAE(encoder, decoder, Bernoulli(shape), StandardNormal(2), objective)


def _gan(classes: int = 0, spherical: bool = False) -> GAN:
    torch.manual_seed(0)
    flat: Prior = HypersphericalUniform(3) if spherical else StandardNormal(2)
    prior = Product([flat, OneHot(10)]) if classes else flat
    generator = nn.Sequential(nn.Linear(prior.dim, 64), nn.SiLU(), nn.Linear(64, 64), nn.Unflatten(1, DIGITS))
    critic = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))
    return GAN(generator, critic, FixedGaussian(DIGITS), prior, NonSaturating())


def _looks() -> list[Any]:
    """Return every callback that looks at a latent space by itself, as small as it goes; all axes count as active."""
    drawn = TraversalFigures(frames=2, plane_points=2, pairs=1, path_points=2, kl_probes=8)
    search = GeodesicSearch(kl_probes=8, starts=2)
    pooled = NetworkFeatures(nn.Sequential(nn.AvgPool2d(32), nn.Flatten()), "pooled", 4)
    return [
        LatentTraversal(points=2, anchors=1, figures=drawn),
        Reconstructions(n=2),
        ReconstructionQuality(pooled, real=RealSet("val", 8), halves=Halves(draws=2)),
        Samples(n=2),
        LatentGeometry(n=2, plane_points=2, kl_threshold=0.0, detail=GeometryDetail(pairs=1, intervals=2, kl_probes=8)),
        LatentGeodesics(pairs=1, points=3, plane=PlaneGrid(2), kl_threshold=0.0, search=search),
        LatentDistances(observations=3, points=3, kl_threshold=0.0, sets=MeanSets(members=2), search=search),
        AggregateMetrics(n=20, codes=10),
        Explorer(n=20),
        FewShotAccuracy(n=60, episodes=Episodes(2, number=4)),
        RetrievalQuality(n=30, shown=2),
        LatentAnalysis(what=("projections",), n=20, detail=AnalysisDetail(k=2, maps=("",))),
        LikelihoodMetrics(),
        FactorMetrics(n=60),
        EvidenceMetrics(samples=2, n=2, temperatures=2, chains=2, gap_steps=2),
    ]


def _judges() -> list[Any]:
    """Return every callback that judges a generator."""
    features, classifier = Pixels(DIGITS), DatasetClassifier(DIGITS, dim=4, steps=2)
    measured = Neighbourhoods(subsets=2, subset_size=10, infinity=2, halves=Halves(draws=2))
    return [
        LatentTraversal(
            points=2,
            anchors=1,
            directions=sefa,
            figures=TraversalFigures(frames=2, plane_points=2, pairs=1, path_points=2),
        ),
        CollapseWatch(n=4),
        NearestNeighbours(features, n=2, k=2, n_ratio=4, n_real=20),
        SampleQuality({"brightness": MeanMetric()}, n=4),
        SampleComparison(features, n=40, real=RealSet(n=20), neighbourhoods=measured),
        PerceptualQuality(ClassifierDistance(classifier), n=4, paths=Paths(n=4)),
        TwoSampleTests(features, n=20, real=RealSet("val", 20), classifiers=("knn", "linear", "mlp"), bins=4),
        Memorisation(features, n=60, n_real=40, cells=2),
        Decoupling(classifier, n=4, n_class=2, iterations=1),
        Inversions(
            n=2,
            columns=2,
            encoder=MLPEncoder(DIGITS, 2, (4,), heads=1),
            encoder_steps=1,
            search=InversionSearch(steps=1, restarts=1),
        ),
        LikelihoodMetrics(),
    ]


@pytest.mark.slow
def test_every_key_of_a_shipped_callback_is_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: set[str] = set()
    key_of = Sink._key
    monkeypatch.setattr(Sink, "_key", lambda self, key: drawn.add(key_of(self, key)) or key_of(self, key))
    looks, judges, by_class = (
        _looks(),
        _judges(),
        ClassComparison(Pixels(DIGITS), n=20, chunk_size=20, real=RealSet(n=400)),
    )
    gaps = Imputations(n=4, draws=2, samples=4, methods=("mean", "miwae"))
    keys = _run(tmp_path, _vae(SPRITES, ELBO()), Sprites(), *looks, test=True)
    keys |= _run(tmp_path, _gan(), Digits(), *judges)
    keys |= _run(tmp_path, _gan(classes=10), Digits(), by_class)
    keys |= _run(tmp_path, _gan(spherical=True), Digits(), LatentGeodesics(pairs=1, points=3))
    keys |= _run(tmp_path, _vae(DIGITS, MissingDataIWAE(2)), Digits(missing=0.5, val_size=20), gaps)
    exact = ODELikelihood(2, 1e-2, 1e-2, probes=2)
    diffusion = Diffusion(Denoiser(MLPDenoiser(DIGITS, hidden=(4,)), LinearLogSNR()))
    for dequantise in (False, True):
        keys |= _run(tmp_path, diffusion, Digits(dequantise=dequantise), LikelihoodMetrics(), exact, test=True)
    phases = PhaseTransitions(n=20, cloning=Cloning(4, 4, 2))
    toy = Toy(train_size=20, val_size=4, test_size=4, batch_size=4)
    keys |= _run(tmp_path, Diffusion(Denoiser(MLPDenoiser((2,), hidden=(4,)), LinearLogSNR())), toy, phases)
    questions, pairs = word_files(tmp_path)
    words = WordBenchmarks(WordTests([questions], [pairs]))
    keys |= _run(tmp_path, NamedPoints(), Digits(), words)
    topics, documents = TopicQuality(words=3), KnownTopics(words=20, topics=2, sizes=(30, 10, 10))
    keys |= _run(tmp_path, LDA((20,), 2, iterations=2), documents, topics)
    club = Nodes(batch_size=17)
    networks = (
        LinkTests(),
        GraphReconstructionTest(),
        NodeClassification(),
        Communities(),
        Routing(),
        NetworkPictures(),
    )
    keys |= _run(tmp_path, NamedNodes(names=club.vocabulary), club, *networks)
    trend, flows = TimeTrend(folds=2), FlowMaps()
    for source, of in ((GrowingCitations(years=3, per_year=6, citations=2), trend), (CosineNetwork(4, 2, 2), flows)):
        nodes = Nodes(graph=source, split={"kind": "none"}, batch_size=18)
        keys |= _run(tmp_path, NamedNodes(names=nodes.vocabulary), nodes, of)
    told = {
        "modalities": (callbacks.ModalityCoherence(n=20, steps=2), callbacks.CrossGeneration(n=2)),
        "views": (
            callbacks.CrossRetrievalQuality(n=40, gallery=16, galleries=2),
            callbacks.ZeroShotAccuracy(n=40, probed=40),
            callbacks.ModalityGaps(n=40),
        ),
        "captions": (callbacks.CaptionQuality(n=10),),
        "answers": (callbacks.AnswerQuality(n=20),),
    }
    for kind, hooks in told.items():
        keys |= _run(tmp_path, *getattr(views_of_digits, kind)(2), *hooks)
    writing = callbacks.WritingTests(n=10, samples=2, pairs=1, points=2, beam=2, baseline_steps=2)
    keys |= _run(tmp_path, *views_of_digits.sentences(2), writing)
    alone = by_class, gaps, exact, phases, words, topics, trend, flows, writing
    ran = {type(hook).__name__ for hook in (*looks, *judges, *alone, *networks, *sum(told.values(), ()))}
    shipped = {
        name
        for name in callbacks.__all__
        if isinstance(kind := getattr(callbacks, name), type)
        and (name in OF_TESTS or (issubclass(kind, PeriodicCallback) and not kind.__abstractmethods__))
    }
    assert ran == shipped, "a callback that is added here is tried here"
    found = {key: find(key) for key in keys | drawn}
    assert sorted(key for key, match in found.items() if match is None) == []
    used = {match.entry.pattern for match in found.values() if match is not None}
    lacking = {entry.pattern for entry in ENTRIES if entry.section in ("geometry", "geodesics", "distances")} - used
    assert not lacking, "the registry has keys of geometry that nothing logs"


@pytest.mark.slow
def test_the_demonstration_opens_on_at_most_80_charts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_wandb: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    few, plane = "+callbacks.{}.kl_probes=8", "callbacks.geometry.plane_points=4"
    small = [few.format(place) for place in ("traversal.figures", "geometry.detail", "geodesics.search")]
    small += ["callbacks.geometry.kl_threshold=0", "+callbacks.geodesics.kl_threshold=0", plane]
    small += ["callbacks.traversal.points=2", "+callbacks.traversal.figures.frames=2", "callbacks.traversal.anchors=1"]
    small += ["+callbacks.factors.n=60", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1", "net=mlp"]
    arguments = [
        "experiment=beta_vae_sprites",
        "model.max_steps=2",
        "run_dir=run",
        "report=false",
        "trainer.log_every_n_steps=1",
        *small,
    ]
    monkeypatch.setattr("sys.argv", ["lsgen", "train", *arguments])
    assert main() == 0
    run = read_wandb(tmp_path / "run")
    charts = {key for key, value in _flat({k: v for row in run.history for k, v in row.items()}) if _is_number(value)}
    charts -= {"step", "_step", "_runtime", "_timestamp"}
    distributions = {key.rpartition("/")[0] for key in charts if key.rpartition("/")[2] in LEVELS}
    assert len(distributions) >= 11
    every = charts | {f"{key}/not_finite" for key in distributions}  # the worst case, whatever the values are
    assert len(every) <= 80, sorted(every)
    assert {
        "train/beta",
        "val/elbo",
        "val/kl_dimension/09",
        "geometry/log_volume/q50",
        "geodesic/linear_ratio/q95",
    } <= charts
    final = {"test/elbo", "test/factor/posX/r2", "test/disentanglement/mig", "geometry/share_of_training"}
    assert final <= set(dict(_flat(run.summary)))
    assert not any(key.startswith("test/") for key in charts), "what is measured once is no chart"
    assert not final & charts
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert charts | {"test/factor/posX/r2", "geometry/share_of_training"} <= set(header)
    assert not {"geometry/log_volume/q25", "geometry/eigenvalue/00"} & set(header)


def _flat(values: Any, prefix: str = "") -> Any:
    """Yield the keys and values of nested mappings, media left whole."""
    for key, value in values.items():
        if isinstance(value, dict) and "_type" not in value:
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield prefix + key, value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
