"""What is measured of views of captioned digits, against the metrics by hand, with pictures, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from lsgen.callbacks import CrossRetrievalQuality, LatentTraversal, ModalityGaps, ZeroShotAccuracy, problems_of
from lsgen.callbacks.evaluation.multimodal.codes_of_views import codes_of, viewed_codes
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import CaptionedDigits, DataModule
from lsgen.latent import FeatureSpace, StandardNormal
from lsgen.latent.multimodal import MultimodalSpace
from lsgen.likelihoods import Bernoulli, Categorical, modalities_likelihood
from lsgen.metrics.multimodal import CrossRetrieval, ZeroShot, prompt_centres
from lsgen.models.multimodal import DualEncoder, InfoNCE
from lsgen.nn import MLPDecoder, MLPEncoder, TransformerEncoder


def _data() -> CaptionedDigits:
    return CaptionedDigits(batch_size=64, val_size=100, test_size=100)


def _model(data: CaptionedDigits) -> DualEncoder:
    torch.manual_seed(0)
    text = TransformerEncoder(data.shapes["caption"], data.vocabulary_size, 8, 1, 16, 1, 2, 0.0)
    encoders = {"image": MLPEncoder((1, 8, 8), 8, (32,), nn.SiLU, heads=1), "caption": text}
    return DualEncoder(encoders, data.shapes, 8, InfoNCE(identical_positives=True), max_steps=30)


def _fit(model: Any, data: DataModule, place: Path, *callbacks: Any, epochs: int = 1) -> Trainer:
    trainer = Trainer(
        default_root_dir=place, accelerator="cpu", max_epochs=epochs, logger=False, callbacks=list(callbacks),
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(model, data)
    return trainer


def _measured(callback: Any, model: DualEncoder, place: Path) -> dict[str, float]:
    sink = Sink(place, 1)
    callback.run(model.latent_space, None, sink)
    return sink.values


@pytest.mark.slow
def test_values_are_those_of_the_metrics(tmp_path: Path) -> None:
    data = _data()
    model = _model(data)
    callbacks = (
        CrossRetrievalQuality(n=120, gallery=60, galleries=2, ks=(1, 5), shown=2),
        ZeroShotAccuracy(n=120, probed=300),
        ModalityGaps(n=120),
        LatentTraversal(every_n_steps=1000),
    )
    assert not problems_of(_fit(model, data, tmp_path, *callbacks, epochs=2))
    for key in ("cross_retrieval/image_to_caption/nearest", "modality_gap/image_and_caption/map", "traversal/axes"):
        assert list((tmp_path / "figures" / key).iterdir())
    assert model.latent_space.vocabularies == data.vocabularies

    retrieval, shot, gaps = (_measured(one, model, tmp_path) for one in callbacks[:3])
    model.eval()
    batch = {name: torch.cat([data.probe(60, split)[name] for split in ("val", "test")]) for name in ("x", "label")}
    with torch.no_grad():
        found = viewed_codes(model.latent_space, batch, 50, data.vocabularies)
        prompts = model.latent_space.encode_texts([text for of in data.prompts for text in of])
    image, caption = found.codes["image"], found.codes["caption"]
    metric = CrossRetrieval(60, (1, 5), 2, names=("image", "caption"))
    metric.update(image, caption, torch.stack([torch.arange(120), batch["label"]], 1))
    for name, of in metric.compute().items():
        if "/" in name:
            assert retrieval[f"cross_retrieval/{name}"] == pytest.approx(float(of["value"]))
            assert retrieval[f"cross_retrieval/{name}_chance"] == pytest.approx(float(of["chance"]))
    assert retrieval["cross_retrieval/image_to_caption/recall_at_1_oracle"] == pytest.approx(1.0)
    by_hand = ZeroShot(prompt_centres(prompts, [4] * 10))
    by_hand.update(image, batch["label"])
    accuracy = float(by_hand.compute()["accuracy"]["value"])
    assert shot["zero_shot/image/accuracy"] == pytest.approx(accuracy)
    assert accuracy > 0.3 > shot["zero_shot/image/accuracy_chance"] == pytest.approx(0.1)
    trained = data.probe(300, "train")
    raw = [data.packing.unpack(x)["image"].flatten(1).numpy() for x in (trained["x"], batch["x"])]
    probe = LogisticRegression(max_iter=2000).fit(raw[0], trained["label"]).score(raw[1], batch["label"])
    assert shot["zero_shot/image/probe_raw"] == pytest.approx(probe, abs=0.05)
    assert gaps["modality_gap/temperature"] == pytest.approx(float(model.temperature))
    assert 0.5 <= gaps["modality_gap/image_and_caption/auc"] <= 1
    assert gaps["modality_gap/image_and_caption/distance"] > gaps["modality_gap/image_and_caption/centred"]


def test_a_space_of_several_modalities_is_seen_by_the_means_of_one_of_them() -> None:
    torch.manual_seed(0)
    likelihood = modalities_likelihood({"image": Bernoulli((1, 8, 8)), "label": Categorical((1,), levels=10, high=9)})
    encoders = {"image": MLPEncoder((1, 8, 8), 3, (8,), nn.SiLU), "label": MLPEncoder((1,), 3, (8,), nn.SiLU)}
    decoders = {
        "image": MLPDecoder(3, (1, 8, 8), (8,), nn.SiLU),
        "label": MLPDecoder(3, (1,), (8,), nn.SiLU, heads=10),
    }
    space = MultimodalSpace(encoders, decoders, likelihood, StandardNormal(3)).eval()
    x = torch.rand(4, 65).round()
    expected: Tensor = space.encode(x, ["label"]).mean
    torch.testing.assert_close(codes_of(space, "label", x[:, 64:]), expected)
    assert CrossRetrievalQuality().left_out(space) is None
    plain = FeatureSpace(nn.Linear(2, 2), 2)
    assert CrossRetrievalQuality().left_out(plain) == "FeatureSpace has no views"


def test_what_cannot_be_measured_is_refused_before_training(tmp_path: Path) -> None:
    data = _data()
    for callback, sentence in (
        (CrossRetrievalQuality(gallery=256), "CrossRetrievalQuality expected at least 256 observations of the val and"),
        (ZeroShotAccuracy(prompts={"seven": ["a purple seven"], "one": ["a one"]}), "expected prompts of the 10 class"),
        (ZeroShotAccuracy(prompts={str(i): ["a purple one"] for i in range(10)}), "got 'purple' in 'a purple one'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            _fit(_model(data), data, tmp_path, callback)
    for prompts in ({}, {"one": ["a one"]}, {"one": ["a one"], "two": []}, {"one": "a one", "two": ["a two"]}):
        with pytest.raises(ValueError, match="expected a list of prompts for each of two classes or more, got"):
            ZeroShotAccuracy(prompts=prompts)
    with pytest.raises(ValueError, match="ModalityGaps expected temperatures above 0"):
        ModalityGaps(temperatures=(0.1, 0.0))
    with pytest.raises(TypeError, match="expected another latent space: FeatureSpace has no views"):
        ModalityGaps().check(nn.ModuleDict({"latent_space": FeatureSpace(nn.Linear(2, 2), 2)}))  # type: ignore[arg-type]
