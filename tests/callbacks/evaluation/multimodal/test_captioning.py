"""A captioner, and captions that views find, on a set whose images determine their captions."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

from lsgen.callbacks import CaptionQuality, problems_of
from lsgen.data import Loading, MultimodalData, TensorSource
from lsgen.likelihoods import AutoregressiveTokens
from lsgen.likelihoods.text.vocabulary import Vocabulary
from lsgen.models.multimodal import Captioner, DualEncoder, InfoNCE
from lsgen.nn import GRUDecoder, GRUEncoder, MLPEncoder

N, LENGTH = 600, 4
SHADES, SIDES = ("black", "white"), ("left", "right")


class Halves(MultimodalData):
    """Images of two pixels, one of which is black or white and the other grey; captions tell which and what."""

    def __init__(self) -> None:
        self.vocabularies = {"caption": Vocabulary.of([f"{a} {b} ." for a in SHADES for b in SIDES])}
        super().__init__(None, None, {"image": (1, 1, 2), "caption": (LENGTH,)}, None, 30, 0, Loading())

    def attributes_of(self, texts: Any) -> Any:
        words = [text.split() for text in texts]
        fits = [len(own) == 3 and own[0] in SHADES and own[1] in SIDES and own[2] == "." for own in words]
        return [{"shade": own[0], "side": own[1]} if ok else None for own, ok in zip(words, fits, strict=True)]

    def build(self, split: Any) -> Any:
        shade, side = torch.arange(N) % 2, torch.arange(N) // 2 % 2
        image = torch.full((N, 1, 1, 2), 0.5)
        image[torch.arange(N), 0, 0, side] = shade.float()
        texts = [f"{SHADES[a]} {SIDES[b]} ." for a, b in zip(shade.tolist(), side.tolist(), strict=True)]
        x = self.packing.pack({"image": image, "caption": self.vocabularies["caption"].encode(texts, LENGTH)})
        rows = torch.arange(N).split([400, 100, 100])[("train", "val", "test").index(split)]
        return self.subset(TensorSource(x=x, label=side), rows, split)


def captioner(steps: int = 150) -> Captioner:
    torch.manual_seed(0)
    size = Halves().vocabularies["caption"].size
    likelihood = AutoregressiveTokens(GRUDecoder((LENGTH,), size, 6, 8, 16), (LENGTH,), size)
    encoder = MLPEncoder((1, 1, 2), 6, (32,), heads=1)
    return Captioner(
        encoder, likelihood, Halves().shapes, 6, optimizer=lambda p: torch.optim.Adam(p, 1e-2), max_steps=steps
    )


def fit(model: Any, place: Path, *callbacks: Any) -> Trainer:
    trainer = Trainer(
        default_root_dir=place, accelerator="cpu", max_epochs=-1, logger=False, callbacks=list(callbacks),
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(model, Halves())
    return trainer


def scores(place: Path, split: str = "test") -> dict[tuple[str, str], float]:
    (file,) = (place / f"figures/captions/{split}/scores").iterdir()
    with file.open() as lines:
        return {(row["captions"], row["measure"]): float(row["value"]) for row in csv.DictReader(lines)}


@pytest.mark.slow
def test_captions_are_written_and_scored(tmp_path: Path) -> None:
    model = captioner()
    trainer = fit(model, tmp_path, CaptionQuality(n=100, beams=2, shown=3))
    assert not problems_of(trainer)
    found = scores(tmp_path)
    for by in ("greedy", "beam_2", "nearest"):
        assert found[by, "exact"] == found[by, "attribute/side"] == found[by, "valid"] == 1
        assert found[by, "bleu_3"] == pytest.approx(1)
    assert found["greedy", "novel"] == 0
    # captions by chance are right in half of the attributes, and in a quarter of all: 100 draws of a fixed seed
    for key, share in (("attribute/shade", 0.5), ("attribute/side", 0.5), ("exact", 0.25)):
        assert found["chance", key] == pytest.approx(share, abs=5 * (share * (1 - share) / 100) ** 0.5)
    assert found["chance", "valid"] == 1
    assert (tmp_path / "figures/captions/examples").is_dir()
    white_right = torch.tensor([0.5, 1.0]).view(1, 1, 1, 2).numpy()
    assert model.caption(white_right) == model.caption(white_right, beams=3) == ["white right ."]
    for given, beams, message in (
        (torch.zeros(1, 2), 1, r"'image' of shape \(B, 1, 1, 2\)"),
        (white_right, 0, "1 beam"),
    ):
        with pytest.raises(ValueError, match=message):
            model.caption(given, beams)
    # the captions of observations are not looked at, and words come with the weights
    x = Halves().dataset("test")[torch.arange(8)]["x"]
    other = x.clone()
    other[:, 2:] = 0
    torch.testing.assert_close(model(x), model(other), rtol=0, atol=0)
    trainer.save_checkpoint(file := tmp_path / "model.ckpt")
    again = captioner()
    again.load_state_dict(torch.load(file, weights_only=True)["state_dict"])
    assert again.eval().caption(white_right) == ["white right ."]


def test_loss_is_that_of_whole_observations() -> None:
    model, batch = captioner(), Halves().dataset("test")[torch.arange(6)]
    present = torch.tensor([[True, True]] * 3 + [[True, False], [False, True], [False, True]])
    x = batch["x"].clone()
    x[3, 2:] = 0
    x[4:, :2] = 0
    found = model.loss({"x": x, "present": present})
    whole = model.loss({"x": batch["x"][:3]})
    torch.testing.assert_close(found.loss, whole.loss)
    torch.testing.assert_close(found.scalars["bits_per_token"], whole.scalars["bits_per_token"])
    found.loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    nats = torch.stack([model.loss({"x": row[None]}).loss for row in batch["x"][:3]])
    torch.testing.assert_close(whole.loss, nats.mean())


@pytest.mark.slow
def test_views_find_captions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = Halves()
    encoders = {
        "image": MLPEncoder((1, 1, 2), 4, (32,), heads=1),
        "caption": GRUEncoder((LENGTH,), data.vocabularies["caption"].size, 4, 1, 8, 16),
    }
    model = DualEncoder(
        encoders, data.shapes, 4, InfoNCE(), optimizer=lambda p: torch.optim.Adam(p, 1e-2), max_steps=150
    )
    assert not problems_of(fit(model, tmp_path, CaptionQuality(n=100, known=200, splits=["test"])))
    found = scores(tmp_path)
    assert found["nearest", "exact"] == 1
    assert ("greedy", "exact") not in found


def test_parts_that_do_not_fit_are_refused() -> None:
    size, shapes = 6, {"image": (1, 1, 2), "caption": (LENGTH,)}
    encoder = MLPEncoder((1, 1, 2), 6, (), heads=1)
    texts = AutoregressiveTokens(GRUDecoder((LENGTH,), size, 6, 8, 16), (LENGTH,), size)
    with pytest.raises(ValueError, match="two of image, caption, got 'sound'"):
        Captioner(encoder, texts, shapes, 6, source="sound")
    with pytest.raises(ValueError, match=r"'caption' of shape \(4,\), got \(7,\)"):
        Captioner(encoder, texts, {**shapes, "caption": (7,)}, 6)
    with pytest.raises(TypeError, match="a likelihood of texts, got MLPEncoder"):
        Captioner(encoder, encoder, shapes, 6)  # type: ignore[arg-type]
