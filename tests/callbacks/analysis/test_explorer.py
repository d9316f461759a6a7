"""The page of a model's codes: what it holds of models and data of every kind."""

import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from lsgen.analysis.probing import explained_columns
from lsgen.callbacks import Explorer, PageOptions
from lsgen.callbacks.analysis.collection import Collected, collect_codes, decoded_codes
from lsgen.callbacks.analysis.colouring import first_colour
from lsgen.callbacks.analysis.contents import explorer_contents, maps_of
from lsgen.callbacks.analysis.page_scores import agreement_of, analysis_tables, clusters_of, joined_columns
from lsgen.callbacks.analysis.pictures import thumbnails
from lsgen.callbacks.analysis.strips import axis_strips
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.data import Digits
from lsgen.explorer.container import Container
from lsgen.explorer.encoding import header_of
from lsgen.latent import (
    Codes,
    EncodableLatentSpace,
    FeatureSpace,
    LatentSpace,
    PoincareBall,
    Simplex,
    Sphere,
    StandardNormal,
)
from lsgen.latent.multimodal import ViewSpace
from lsgen.likelihoods import (
    Bernoulli,
    FixedGaussian,
    IndependentTokens,
    Packing,
    Poisson,
    StudentT,
    modalities_likelihood,
)
from lsgen.likelihoods.text.vocabulary import Vocabulary
from lsgen.models import VAE
from lsgen.models.multimodal import AnswerSpace, CaptionSpace
from lsgen.models.multimodal.answer_space import JointFeatures
from lsgen.models.vae import ELBO
from lsgen.nn import ConcatenationFusion, MLPDecoder, MLPEncoder

SHAPE = (1, 8, 8)


def _fit(model, directory, explorer, data=None):
    trainer = Trainer(
        default_root_dir=directory, accelerator="cpu", max_epochs=1, logger=False, callbacks=[explorer],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_train_batches=2,
        limit_val_batches=1, num_sanity_val_steps=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model, data or Digits(batch_size=64, val_size=60, test_size=60, binarise="threshold"))
    return trainer


def _vae(dim=3):
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder(SHAPE, dim, (8,)), MLPDecoder(dim, SHAPE, (8,))
    return VAE(encoder, decoder, Bernoulli(SHAPE), StandardNormal(dim), ELBO(), max_steps=2)


def _header(page):
    return json.loads(re.search(r'id="header">(.*?)</script>', page.read_text(), re.DOTALL).group(1))


def test_a_run_ends_with_a_page_that_is_the_same_every_time(tmp_path):
    pages = []
    for name in ("one", "two"):
        (tmp_path / name / "run").mkdir(parents=True)
        _fit(_vae(), tmp_path / name / "run", Explorer(n=40, options=PageOptions(maps=("pca",))))
        pages.append(tmp_path / name / "run" / "explorer.html")
    assert pages[0].read_bytes() == pages[1].read_bytes()
    header = _header(pages[0])
    assert header["title"] == "run"
    assert (header["count"], header["codes"]["dim"]) == (40, 3)
    assert [one["name"] for one in header["maps"]] == ["codes", "PCA", "PCA in 3-D"]
    assert header["decoder"]["shape"] == [8, 8]
    assert header["pictures"]
    assert header["reconstructions"]
    assert header["strips"] == []
    assert {one["name"] for one in header["columns"]} >= {"label", "split", "elbo", "reconstruction_error", "prior_nll"}
    facts = dict(header["facts"])
    assert facts["observations"] == "40 of 60 of val, seed 0"
    assert facts["trained for"] == "2 steps"


def test_a_model_that_has_diverged_gets_a_warning_and_no_page(tmp_path):
    space = _vae().latent_space
    nn.init.constant_(space.encoder.layers[0].weight, float("nan"))

    class Diverged(nn.Module):
        latent_space = space

    explorer = Explorer(n=5)
    explorer._module = Diverged()
    explorer._trainer = type("T", (), {"datamodule": Digits()})()
    with pytest.warns(UserWarning, match="Explorer wrote no page: expected finite codes"):
        explorer.run(space, None, Sink(tmp_path, 1))
    assert not (tmp_path / "explorer.html").exists()


def test_a_decoder_that_the_page_cannot_run_is_named_and_traversals_are_decoded_beforehand():
    class Sorting(MLPDecoder):
        def forward(self, z):
            return super().forward(z.sort(-1).values)

    torch.manual_seed(1)
    space = EncodableLatentSpace(
        MLPEncoder(SHAPE, 3, (8,)), Sorting(3, SHAPE, (8,)), Bernoulli(SHAPE), StandardNormal(3)
    ).eval()
    found = collect_codes(space, Digits(binarise="threshold"), n=30)
    contents = explorer_contents(space, found, "t", options=PageOptions(maps=()))
    assert contents.decoder is None
    assert any("aten.sort" in said for said in contents.warnings)
    assert [strip.dimension for strip in contents.strips] == [0, 1, 2]
    strip = contents.strips[1]
    z = np.asarray(found.codes.z, dtype=np.float64)
    expected = np.tile(z.mean(0), (7, 1))
    expected[:, 1] += np.linspace(-3, 3, 7) * z[:, 1].std()
    np.testing.assert_allclose(strip.z, expected, atol=1e-5)
    with torch.no_grad():
        decoded = space.decode(torch.from_numpy(strip.z)).mean
    np.testing.assert_array_equal(strip.thumbnails.values, thumbnails(decoded, (0.0, 1.0)).values)


def test_a_generator_shows_draws_from_its_prior():
    space = LatentSpace(MLPDecoder(2, SHAPE, (4,)), FixedGaussian(SHAPE, 1.0), StandardNormal(2)).eval()
    contents = explorer_contents(space, collect_codes(space, n=12), "g", options=PageOptions(maps=()))
    assert len(contents.pictures.values) == 12
    assert contents.reconstructions is None
    assert any("no encoder" in said for said in contents.warnings)


@pytest.mark.parametrize(
    ("family", "heads"), [(StudentT((5,)), 3), (Poisson((5,)), 1), (FixedGaussian((5,), 1.0), 1)], ids=repr
)
def test_tables_have_no_pictures_and_decode(family, heads):
    space = EncodableLatentSpace(
        MLPEncoder((5,), 2, (4,)), MLPDecoder(2, (5,), (4,), heads=heads), family, StandardNormal(2)
    ).eval()
    found = collect_codes(space, [torch.arange(50.0).reshape(10, 5) % 4])
    contents = explorer_contents(space, found, "t", options=PageOptions(maps=("tsne",)))
    assert contents.pictures is None
    assert contents.reconstructions is None
    assert contents.decoder.shape == (5,)
    assert any("30 codes or more" in said for said in contents.warnings)


def test_features_of_two_channels_of_one_dimension_or_many_and_a_single_item():
    two = torch.rand(4, 2, 6, 5)
    assert thumbnails(two, (0.0, 1.0)).values.shape == (4, 6, 10)
    assert thumbnails(torch.rand(4, 3, 6, 5), (0.0, 1.0)).values.shape == (4, 6, 5, 3)
    assert thumbnails(torch.rand(4, 1, 1, 900), (0.0, 1.0)) is None
    assert thumbnails(torch.rand(4, 63), (0.0, 1.0)) is None
    for dim, n in ((1, 9), (512, 5), (4, 1), (2, 2)):
        space = FeatureSpace(nn.Linear(3, dim), dim).eval()
        contents = explorer_contents(space, collect_codes(space, [torch.randn(n, 3)]), "f")
        assert len(contents.maps[0].coordinates) == n
        assert contents.decoder is None


def test_maps_follow_the_manifold():
    z = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    ball = Codes(0.3 * torch.tanh(z[:, :2]), manifold=PoincareBall(4.0))
    found, _ = maps_of(ball, PageOptions(maps=()))
    assert (found[0].name, found[0].outline) == ("Poincaré disk", "disk")
    np.testing.assert_allclose(found[0].coordinates, 2 * ball.z, rtol=1e-6)
    found, _ = maps_of(Codes(torch.softmax(z, -1), manifold=Simplex(3)), PageOptions(maps=()))
    assert (found[0].name, found[0].outline) == ("triangle", "triangle")
    sphere = Codes(nn.functional.normalize(z, dim=-1), manifold=Sphere())
    found, said = maps_of(sphere, PageOptions(maps=("pca",)))
    assert [one.name for one in found] == ["codes", "PCA", "PCA in 3-D"]
    assert said == []
    assert set(found[0].trust) == {"trustworthiness", "continuity", "overlap"}


def test_traversals_of_a_sphere_stay_on_it():
    space = _vae().latent_space
    found = collect_codes(space, Digits(binarise="threshold"), n=20)
    flat = axis_strips(space.eval(), found.codes, (0.0, 1.0), steps=3)
    assert len(flat) == 3
    assert flat[0].thumbnails.values.shape == (3, 8, 8)


def test_codes_of_a_table_are_decoded_by_a_space_of_their_dimension():
    space = _vae().latent_space
    codes = Codes(torch.randn(6, 3))
    found = decoded_codes(space, codes)
    with torch.no_grad():
        assert torch.equal(found.reconstructions, space.eval().decode(codes.tensor()).mean)
    assert decoded_codes(None, codes).reconstructions is None
    with pytest.raises(ValueError, match="expected codes of 3 dimensions, got 2"):
        decoded_codes(space, Codes(torch.randn(6, 2)))


def test_clusters_are_a_column_with_tables_of_what_they_are():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 40)
    codes = Codes(rng.normal(size=(80, 3)) + 9.0 * label[:, None], columns={"label": label})
    columns, tables = clusters_of(codes)
    found = columns["cluster/k-means"]
    assert len(set(zip(found.tolist(), label.tolist(), strict=True))) == 2
    figures = {row[0]: row[1].value for row in tables[0].rows}
    assert figures["agreement with label: adjusted Rand index"] == pytest.approx(1.0)
    assert figures["stability: adjusted Rand index of resamples"] == pytest.approx(1.0)
    assert sorted(row[2] for row in tables[1].rows) == ["0", "1"]
    assert all(row[3].value == pytest.approx(2.0) for row in tables[1].rows)
    assert clusters_of(Codes(np.zeros((40, 2)))) == ({}, [])
    assert clusters_of(codes.select(rows=slice(0, 9))) == ({}, [])


def test_what_an_analysis_has_found_is_shown_and_its_columns_join_by_id():
    one = {"value": 0.8, "n": 9, "interval": [0.7, 0.9], "baseline": 0.5, "seed": 0, "level": 0.95}
    record = {
        "statistics": {"analysis/probe/a": one, "analysis/probe/b": one | {"interval": None}, "analysis/x/c": one}
    }
    tables = analysis_tables(record)
    assert [table.title for table in tables] == ["Analysis: probe", "Analysis: x"]
    assert tables[0].rows[0][1].interval == (0.7, 0.9)
    assert tables[0].rows[1][1].interval is None
    codes = Codes(np.eye(3), ["a", "b", "c"], columns={"label": [1, 2, 3]})
    others = Codes(
        np.eye(2), ["c", "a"], columns={"label": [0, 0], "p": [0.5, 0.25], "word": ["x", "y"], "seen": [True, False]}
    )
    joined = joined_columns(codes, others)
    assert set(joined) == {"p", "word", "seen"}
    np.testing.assert_array_equal(joined["p"], [0.25, np.nan, 0.5])
    assert joined["word"].tolist() == ["y", None, "x"]
    assert joined_columns(codes, Codes(np.eye(1), ["z"], columns={"p": [1.0]})) == {}


def test_spaces_that_are_turned_into_each_other_agree():
    z = np.random.default_rng(1).normal(size=(60, 2))
    figures, each = agreement_of(Codes(z), Codes(z @ [[0.0, -3.0], [3.0, 0.0]]))
    assert figures["CKA"].value == pytest.approx(1.0)
    assert figures["Procrustes distance"].value == pytest.approx(0.0, abs=1e-9)
    assert (each["overlap of neighbours"] == 1).all()
    assert agreement_of(Codes(z[:3]), Codes(z[:3])) == ({}, {})


def test_classes_with_names_are_called_by_them():
    space = _vae().latent_space.eval()
    found = collect_codes(space, Digits(binarise="threshold"), n=10)
    named = replace(found, label_names=tuple("abcdefghij"))
    labels = explorer_contents(space, named, "t", options=PageOptions(maps=())).codes.columns["label"].tolist()
    assert labels == ["abcdefghij"[label] for label in found.codes.columns["label"]]


def test_a_page_opens_in_the_colours_that_its_map_shows_best():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 6))
    z[:, :2] *= 5
    columns = {"label": (z[:, 4] > 0).astype(int), "place": z[:, 0], "elbo": z[:, 1], "p_knn": z[:, 0]}
    codes = Codes(z, columns=columns)
    name, words = first_colour(codes, z[:, :2])
    assert name == "place"
    seen = explained_columns(Codes(z[:, :2], columns=columns), ["place", "label"])
    told = explained_columns(codes, ["place", "label"])
    for one in (seen, told):
        assert f"explain {one['place'].value:.0%} of place, {max(one['label'].value, 0):.0%} of label" in words or (
            f"codes {one['place'].value:.0%} of place, {max(one['label'].value, 0):.0%} of label" in words
        )
    near = Codes(z, columns={**columns, "label": (z[:, 0] > 0).astype(int)})
    assert first_colour(near, z[:, :2])[0] == "label"
    assert first_colour(Codes(z), z[:, :2]) == ("", "")
    assert first_colour(Codes(z[:1]), z[:1, :2]) == ("", "")


def test_a_column_whose_two_values_are_near_on_the_map_alone_is_not_shown_first():
    rng = np.random.default_rng(0)
    z, places = rng.normal(size=(400, 12)), rng.normal(size=(400, 2))
    values = np.full(400, np.nan)
    values[((places - places[0]) ** 2).sum(1).argsort()[:2]] = [0.0, 1.0]
    assert list(explained_columns(Codes(places, columns={"rare": values}))) == ["rare"]
    assert first_colour(Codes(z, columns={"rare": values}), places) == ("", "")


def test_long_rows_are_curves_from_their_least_to_their_greatest_values():
    ramp = torch.stack([torch.linspace(0, 1, 640), torch.zeros(640)])
    for x in (ramp, ramp[:, None]):
        values = thumbnails(x, (0.0, 1.0)).values
        assert values.shape == (2, 32, 64)
        dark = values < 128
        assert dark.any(1).all()
        middle = [np.flatnonzero(column).mean() for column in dark[0].T]
        np.testing.assert_allclose(middle, 31 * (1 - (np.arange(64) + 0.5) / 64), atol=1)  # the first row is on top
        assert (dark[1].argmax(0) == 31).all()


def test_documents_are_shown_by_the_words_that_tell_them_apart():
    counts = torch.tensor([[3.0, 2.0, 0.0], [3.0, 0.0, 1.0], [3.0, 0.0, 0.0]])
    codes = Codes(np.random.default_rng(0).normal(size=(3, 2)))
    found = Collected(codes, counts, counts, (0.0, 3.0), "encoder", "", 3, 0, vocabulary=("the", "cat", "sat"))
    contents = explorer_contents(None, found, "d", options=PageOptions(maps=()))
    assert contents.codes.columns["words"].tolist() == ["cat the", "sat the", "the"]
    rare = np.log(4 / 2)
    assert contents.vocabulary == pytest.approx({"the": 0.0, "cat": rare, "sat": rare})
    assert contents.pictures is None
    assert header_of(contents, Container())["vocabulary"]["words"] == "vocabulary"


def test_several_modalities_are_pictures_without_words_and_their_sentences_are_columns():
    parts = {"image": Bernoulli((1, 8, 8)), "caption": IndependentTokens((3,), 3), "sound": FixedGaussian((300,), 1.0)}
    likelihood = modalities_likelihood(parts)
    likelihood.parts["caption"].name(["<end>", "red", "square"])
    encoder, decoder = MLPEncoder((367,), 2, (4,)), MLPDecoder(2, likelihood.raw_shape, (4,))
    space = EncodableLatentSpace(encoder, decoder, likelihood, StandardNormal(2)).eval()
    own = {"image": torch.rand(6, 1, 8, 8), "caption": torch.tensor([[1.0, 2, 0], [2, 0, 0]]).repeat(3, 1)}
    x = likelihood.packing.pack(own | {"sound": torch.randn(6, 300)})
    contents = explorer_contents(space, collect_codes(space, [x]), "m", options=PageOptions(maps=()))
    assert contents.codes.columns["caption"].tolist() == ["red square", "square"] * 3
    assert len(contents.codes.columns["caption, decoded"]) == 6
    draw = drawing_of(space, x)
    np.testing.assert_array_equal(contents.pictures.values, draw.pictures(x))
    assert [strip.dimension for strip in contents.strips] == [0, 1]
    assert contents.strips[0].thumbnails.values.shape[1:] == contents.pictures.values.shape[1:]
    assert contents.decoder is None
    assert any("several modalities" in said for said in contents.warnings)


def _packed(kind):
    """Return a space of pictures with sentences, what it tells of observations, and these."""
    shapes, words = {"image": (1, 8, 8), "text": (3,)}, Vocabulary(("<end>", "red", "square"))
    packing, code, text = Packing(shapes), MLPEncoder((1, 8, 8), 4, (), heads=1), MLPEncoder((3,), 4, (), heads=1)
    torch.manual_seed(0)
    if kind == "views":
        space = ViewSpace({"image": code, "text": text}, packing, 4)
        space.name_words({"text": words})
        return space, {}, packing
    if kind == "answers":
        fusion = ConcatenationFusion({"image": 4, "text": 4}, 4, ())
        space = AnswerSpace(JointFeatures(packing, {"image": code, "text": text}, fusion), 4, 2)
        space.name({"text": words}, ("yes", "no"))
        return (
            space,
            {"answer": lambda x: [("yes", "no")[i] for i in space.head(space.encode(x).mean).argmax(1)]},
            packing,
        )
    tokens = IndependentTokens((3,), 3)
    tokens.name(words.words)
    space = CaptionSpace(nn.Sequential(code, nn.Linear(4, 9)), tokens, packing, 9, "image", "text")
    return space, {"text, written": lambda x: words.decode(tokens(space.encode(x).mean).mean)}, packing


@pytest.mark.parametrize("kind", ["views", "answers", "captions"])
def test_packed_observations_of_any_space_are_pictures_and_sentences_and_what_is_told_of_them(kind):
    space, told, packing = _packed(kind)
    x = packing.pack({"image": torch.rand(4, 1, 8, 8), "text": torch.tensor([[1.0, 2, 0], [2, 0, 0]]).repeat(2, 1)})
    contents = explorer_contents(space, collect_codes(space, [x]), "m", options=PageOptions(maps=()))
    np.testing.assert_array_equal(contents.pictures.values, drawing_of(space, x).pictures(x))
    assert contents.pictures.values.shape[0] == 4
    assert contents.codes.columns["text"].tolist() == ["red square", "square"] * 2
    for name, truth in told.items():
        assert contents.codes.columns[name].tolist() == truth(x)
