"""Retrieval and few-shot accuracy of a space, while it trains and of a trained run, against the metrics by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer
from torch import nn

from lsgen.callbacks import FewShotAccuracy, RetrievalQuality, problems_of
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import AsStored, DataModule, Digits, Loading, TensorSource
from lsgen.latent import FeatureSpace, Sphere, StandardNormal
from lsgen.latent.distances import AngularDistance
from lsgen.likelihoods import Bernoulli
from lsgen.metrics.retrieval import Episodes, FewShot, Retrieval
from lsgen.models import VAE
from lsgen.models.embedding.similarity import MarginContrastive, MetricLearning, WeightedL1
from lsgen.models.vae import ELBO
from lsgen.nn import MLPDecoder, MLPEncoder

SHAPE = (1, 8, 8)


class Plain(DataModule):
    """Observations without labels."""

    def build(self, split: Any) -> Any:
        return self.subset(TensorSource(x=torch.zeros(8, *SHAPE)), torch.arange(8), split)


def _metric() -> MetricLearning:
    torch.manual_seed(0)
    return MetricLearning(MLPEncoder(SHAPE, 4, (16,), heads=1), 4, MarginContrastive(), manifold=Sphere(), max_steps=4)


def _vae() -> VAE:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder(SHAPE, 2, (8,)), MLPDecoder(2, SHAPE, (8,), nn.SiLU)
    return VAE(encoder, decoder, Bernoulli(SHAPE), StandardNormal(2), ELBO(), max_steps=4)


def _fit(model: Any, place: Path, *callbacks: Any, data: Any = None) -> Trainer:
    trainer = Trainer(
        default_root_dir=place, accelerator="cpu", max_epochs=1, logger=False, callbacks=list(callbacks),
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(model, Digits(batch_size=64, val_size=100, test_size=200) if data is None else data)
    return trainer


@pytest.mark.parametrize("make", [_metric, _vae])
def test_values_are_those_of_the_metrics(make: Any, tmp_path: Path) -> None:
    model, episodes = make(), Episodes(3, 2, 3, 40)
    callbacks = RetrievalQuality(every_n_steps=2, n=120, ks=(1, 4)), FewShotAccuracy(n=120, episodes=episodes)
    assert not problems_of(_fit(model, tmp_path, *callbacks))
    pictures = sorted((tmp_path / "figures/retrieval/nearest").iterdir())
    assert [int(one.stem) for one in pictures] == [2, 4]
    data, space = Digits(batch_size=64, val_size=100, test_size=200), model.latent_space.eval()
    probes = data.probe(40, "val"), data.probe(80, "test")
    x, label = (torch.cat([probe[name] for probe in probes]) for name in ("x", "label"))
    with torch.no_grad():
        codes = space.encode(x).mean
    retrieval = Retrieval((1, 4), AngularDistance() if isinstance(space, FeatureSpace) else None)
    retrieval.update(codes, label)
    few = FewShot(episodes, space.manifold)
    few.update(codes, label)
    sink = Sink(tmp_path, 4)
    for callback in callbacks:
        callback.run(space, None, sink)
    for family, metric in (("retrieval", retrieval), ("few_shot", few)):
        for name, parts in metric.compute().items():
            for part, value in parts.items():
                key = f"{family}/{name}" + ("" if part == "value" else f"_{part}")
                assert sink.values[key] == pytest.approx(float(value)), key


class LabelAndNoise(DataModule):
    """Observations of two numbers, of which the first is the label and the second says nothing of it."""

    def build(self, split: Any) -> Any:
        label, noise = torch.arange(60) % 3, torch.randn(60, generator=torch.Generator().manual_seed(0))
        x = torch.stack([label.float(), 100 * noise], 1)
        return self.subset(TensorSource(x=x, label=label), torch.arange(60), split)


def test_codes_are_compared_as_the_model_has_learned_to(tmp_path: Path) -> None:
    """By Euclidean distance the noise decides on what is near, whatever the weights."""
    model = MetricLearning(nn.Flatten(), 2, WeightedL1(2), max_steps=1)
    callbacks = RetrievalQuality(ks=(1,), shown=0), FewShotAccuracy(episodes=Episodes(3, 1, 1, 40))
    _fit(model, tmp_path, *callbacks, data=LabelAndNoise((2,), (2,), AsStored(None), 60, 0, Loading()))
    scores = []
    for weight in (1.0, 0.0):
        with torch.no_grad():
            model.objective.weight.copy_(torch.tensor([1.0, weight]))
        sink = Sink(tmp_path, 0)
        for callback in callbacks:
            callback.run(model.latent_space.eval(), None, sink)
        scores.append([sink.values[key] for key in ("retrieval/map_at_r", "few_shot/nearest", "few_shot/prototype")])
    assert max(scores[0]) < 0.6
    assert scores[1] == [1.0, 1.0, 1.0]


def test_frames_of_the_picture_say_what_is_right(tmp_path: Path) -> None:
    """With codes that are the label, all neighbours are right; with noise, some are wrong."""
    data = Digits(batch_size=64, val_size=100, test_size=200)
    source = data.dataset("val")
    green, red = (21, 154, 140), (226, 87, 43)
    for noise in (False, True):
        model = _metric()
        callback = RetrievalQuality(n=60, shown=3)
        _fit(model, tmp_path / str(noise), callback, data=data)
        images = [np.asarray(Image.open(p)) for p in (tmp_path / str(noise) / "figures/retrieval/nearest").iterdir()]
        found = [{tuple(c) for c in image.reshape(-1, image.shape[-1])[:, :3].tolist()} for image in images]
        assert all(green in colours or red in colours for colours in found)
    assert len(source) == 100


def test_what_has_no_labels_or_no_finite_codes_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="RetrievalQuality expected data with labels, got Plain without"):
        _fit(_metric(), tmp_path, RetrievalQuality(), data=Plain(SHAPE, SHAPE, AsStored(None), 4, 0, Loading()))
    model, callback = _metric(), FewShotAccuracy(n=50)
    _fit(model, tmp_path, callback)
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    sink = Sink(tmp_path, 5)
    with pytest.warns(UserWarning, match="FewShotAccuracy measured nothing: expected finite codes, got 50"):
        callback.run(model.latent_space, None, sink)
    assert not sink.values
    with pytest.raises(ValueError, match="RetrievalQuality expected n of at least 1, got 0"):
        RetrievalQuality(n=0)
    with pytest.raises(ValueError, match="expected at least one split, got none"):
        RetrievalQuality(splits=())
