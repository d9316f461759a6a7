"""A joint classifier on a set whose questions give nothing away, and what is logged of it, counted by hand."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from pytorch_lightning import Trainer

from lsgen.callbacks import AnswerQuality, problems_of
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Loading, MultimodalData, TensorSource
from lsgen.likelihoods.text.vocabulary import Vocabulary
from lsgen.models.multimodal import JointClassifier
from lsgen.nn import ConcatenationFusion, GRUEncoder, MLPEncoder
from lsgen.runs.keys import find

N = 720
QUESTIONS = ("is it light ?", "is it dark ?", "what is it ?")


class Lamps(MultimodalData):
    """Images of one pixel that is light or dark; two of three questions have the answers yes and no, balanced."""

    sizes: ClassVar[tuple[int, int, int]] = (480, 120, 120)
    factor_names, factor_sizes = ("type",), (2,)
    types, answers = ("check", "name"), ("yes", "no", "a lamp")
    best_accuracy: ClassVar = {"image": 2 / 3}

    def __init__(self) -> None:
        self.vocabularies = {"question": Vocabulary.of(QUESTIONS)}
        super().__init__(None, None, {"image": (1, 1, 1), "question": (5,)}, None, 30, 0, Loading())

    def build(self, split: Any) -> Any:
        light = torch.arange(N) % 2
        kind = torch.arange(N) // 2 % 3
        text = self.vocabularies["question"].encode([QUESTIONS[k] for k in kind], 5)
        answer = torch.where(kind == 2, 2, (light + kind + 1) % 2)
        x = self.packing.pack({"image": light.float()[:, None, None, None], "question": text})
        factors = (kind == 2).long()[:, None]
        rows = torch.arange(N).split(list(self.sizes))[("train", "val", "test").index(split)]
        return self.subset(TensorSource(x=x, label=answer, factors=factors), rows, split)


def classifier(views: Any = None, steps: int = 240) -> JointClassifier:
    torch.manual_seed(0)
    data = Lamps()
    encoders = {
        "image": MLPEncoder((1, 1, 1), 4, (), heads=1),
        "question": GRUEncoder((5,), data.vocabularies["question"].size, 8, 1, 8, 16),
    }
    fusion = ConcatenationFusion({"image": 4, "question": 8}, 6, (32,))
    return JointClassifier(
        encoders, fusion, data.shapes, 6, 3, views, lambda p: torch.optim.Adam(p, 5e-3), max_steps=steps
    )


def fit(model: JointClassifier, place: Path, *callbacks: Any, data: Any = None) -> Trainer:
    trainer = Trainer(
        default_root_dir=place, accelerator="cpu", max_epochs=-1, logger=False, callbacks=list(callbacks),
        enable_checkpointing=True, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(model, data or Lamps())
    return trainer


def scores(place: Path, split: str = "test") -> dict[tuple[str, str], float]:
    (file,) = (place / f"figures/answers/{split}/scores").iterdir()
    with file.open() as lines:
        return {(row["answered by"], row["questions"]): float(row["accuracy"]) for row in csv.DictReader(lines)}


@pytest.mark.slow
def test_both_modalities_together_answer_what_neither_does_alone(tmp_path: Path) -> None:
    model, callback = classifier(), AnswerQuality(n=120, shown=5)
    trainer = fit(model, tmp_path, callback)
    assert not problems_of(trainer)
    found = scores(tmp_path)
    assert found["model", "all"] == 1
    # every question has yes as often as no, and "what is it ?" has one answer
    assert found["most_frequent_of_question", "check"] == pytest.approx(0.5)
    assert found["most_frequent_of_question", "name"] == 1
    assert found["most_frequent_of_question", "all"] == pytest.approx(2 / 3)
    assert (tmp_path / "figures/answers/examples").is_dir()
    # three lines, and a sentence for what cannot be answered
    dark, light = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1).numpy()
    assert model.answer(image=dark, question=["is it dark ?"]) == ["yes"]
    assert model.answer(image=light, question=["IS it dark?"]) == ["no"]
    for given, message in (
        ({"image": dark, "question": ["is it red ?"]}, "got 'red' in 'is it red \\?'"),
        ({"image": dark, "question": [""]}, "a sentence with a word"),
        ({"image": torch.zeros(1, 2, 2), "question": ["is it dark ?"]}, r"'image' of shape \(B, 1, 1, 1\), got"),
        ({"image": dark}, "expected image and question, got no question"),
        ({"image": dark, "question": QUESTIONS}, "one batch size"),
        ({"picture": dark}, "image, question, got 'picture'"),
    ):
        with pytest.raises(ValueError, match=message):
            model.answer(**given)
    with pytest.raises(TypeError, match="a list of texts for 'question'"):
        model.answer(image=dark, question="is it dark ?")
    # what words and answers are called comes with the weights
    trainer.save_checkpoint(file := tmp_path / "model.ckpt")
    again = classifier()
    again.load_state_dict(torch.load(file, weights_only=True)["state_dict"])
    assert again.eval().answer(image=dark, question=["what is it ?"]) == ["a lamp"]


def test_a_model_that_sees_one_modality_says_so_and_depends_on_no_other(tmp_path: Path) -> None:
    model, callback = classifier(["question"], 60), AnswerQuality(splits=["test"])
    assert not problems_of(fit(model, tmp_path, callback))
    found = scores(tmp_path)
    assert ("model_of_question", "all") in found
    assert ("model", "all") not in found
    assert found["model_of_question", "check"] <= 0.5 + 1e-6  # the same answer to light and dark
    x = torch.stack([Lamps().dataset("test")[torch.tensor([n])]["x"][0] for n in range(6)])
    other = x.clone()
    other[:, 0] = torch.randn(6)
    torch.testing.assert_close(model(x), model(other), rtol=0, atol=0)
    assert model.answer(question=["what is it ?"]) == ["a lamp"]


def test_keys_are_in_the_registry() -> None:
    for key in ("answers/test/model/all", "answers/val/model_of_question/size_low", "answers/test/best_of_text/all"):
        match = find(key)
        assert match is not None
        assert match.entry.section == "answers"


def test_other_words_answers_and_options_are_refused() -> None:
    model = classifier()
    vocabularies = Lamps().vocabularies
    model.latent_space.name(vocabularies, Lamps.answers)
    with pytest.raises(ValueError, match="that the model was trained with"):
        model.latent_space.name(vocabularies, ("a", "b", "c"))
    with pytest.raises(ValueError, match="expected 3 answers"):
        model.latent_space.name(vocabularies, ("a", "b"))
    for views in ([], ["sound"], ["image", "image"]):
        with pytest.raises(ValueError, match="views out of image, question"):
            classifier(views)
    with pytest.raises(ValueError, match="at least one split"):
        AnswerQuality(splits=())


def test_labels_that_are_no_answers_are_refused(tmp_path: Path) -> None:
    class Wrong(Lamps):
        def build(self, split: Any) -> Any:
            made = super().build(split)
            made.source.tensors["label"] += 1
            return made

    with pytest.raises(ValueError, match="labels from 0 to 2, got 3"):
        fit(classifier(steps=40), tmp_path, data=Wrong())


def test_a_split_without_observations_is_passed_over(tmp_path: Path) -> None:
    class NoValidation(Lamps):
        sizes = (600, 0, 120)

    callback, model, sink = AnswerQuality(n=30, shown=0), classifier(), Sink(tmp_path, 0)
    callback.prepare(SimpleNamespace(datamodule=NoValidation()), model)  # type: ignore[arg-type]
    callback.run(model.latent_space.eval(), None, sink)
    assert {key.split("/")[1] for key in sink.values} == {"test"}
