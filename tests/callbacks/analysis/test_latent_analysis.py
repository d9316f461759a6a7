"""The analysis of codes logs what the functions of `lsgen.analysis` return, and says what it leaves out."""

import csv
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from lsgen.analysis.anomalies import anomaly_panel
from lsgen.analysis.probing import ProbeOptions, probe
from lsgen.callbacks import AnalysisDetail, CSVLogger, LatentAnalysis, Turns
from lsgen.callbacks.analysis.collection import Collected, collect_codes
from lsgen.callbacks.analysis.parts.subject import Subject
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Digits
from lsgen.latent import Codes, LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.models.vae import ELBO, VAE
from lsgen.nn import MLPDecoder, MLPEncoder
from lsgen.runs.keys import find

SHAPE = (1, 8, 8)
PROBES = ProbeOptions(budgets=(10, None), seeds=1, resamples=20)
DETAIL = AnalysisDetail(k=3, maps=("",), probes=PROBES, pairs=1, points=4, imputed=4, samples=20)


def model():
    torch.manual_seed(0)
    return VAE(MLPEncoder(SHAPE, 3, (8,)), MLPDecoder(3, SHAPE, (8,)), Bernoulli(SHAPE), StandardNormal(3), ELBO())


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    """Return the model, the sink and the findings of one turn."""
    path, vae = tmp_path_factory.mktemp("turn"), model()
    sink = Sink(path, 7)
    found = LatentAnalysis(n=90, detail=DETAIL).analyse(vae, Digits(SHAPE, binarise="static"), sink)
    return vae, sink, found


def test_statistics_are_those_of_the_analysis(turn):
    vae, sink, found = turn
    codes = collect_codes(vae, Digits(SHAPE, binarise="static"), 90).codes
    curves = probe(codes, "label", options=PROBES)
    for budget, score in zip(curves.budgets, curves.scores["codes"], strict=True):
        assert found.statistics[f"analysis/probe/label/codes/{budget}"] == score
        assert sink.values[f"analysis/probe/label/codes/{budget}_low"] == score.interval[0]
    assert {"raw", "pca", "untrained", "majority"} <= {key.split("/")[3] for key in found.statistics if "probe" in key}
    left_out = dict(found.left_out)
    if find_spec("skdim") is None:
        assert "lsgen[maps]" in left_out.pop("dimension")
    assert left_out == {"comparison": "there are no other codes of these observations yet"}


def test_every_code_has_a_p_value_of_scores_that_have_not_seen_it(turn):
    _, sink, found = turn
    table = Codes.load(sink.figures / "analysis" / "codes" / "00000007.npz")
    assert len(table) == 90
    order = np.random.default_rng(0).permutation(90)
    parts = [table.select(np.sort(part)) for part in np.array_split(order, 3)]
    plain = [Codes(part.z, part.ids) for part in parts]
    exact = anomaly_panel(*plain, names=["knn", "mahalanobis"], k=3)
    for name in ("knn", "mahalanobis"):
        assert parts[2].columns[f"p_{name}"] == pytest.approx(exact.p_values[name])
    alarms = found.statistics["analysis/anomaly/knn/false_alarms"]
    assert alarms.value == pytest.approx(np.mean(table.columns["p_knn"] <= 0.05))


def test_scores_of_the_model_are_not_judged_by_classes_that_it_has_seen(turn):
    found = turn[2]
    judged = {key.split("/")[2] for key in found.statistics if key.endswith("auroc")}
    assert judged == {"knn", "mahalanobis", "lof"}
    assert "analysis/anomaly/elbo/false_alarms" in found.statistics


def test_cosines_between_directions_are_written_with_their_intervals(turn):
    _, sink, found = turn
    known = np.load(sink.figures / "analysis" / "directions" / "00000007.npz")
    count = sum(key.startswith("analysis/direction/") and key.endswith("/reliability") for key in found.statistics)
    assert known["cosines"].shape == (len(known["names"]),) * 2 == (count, count)
    told = np.isfinite(known["cosines"])
    assert told.any()
    assert (known["intervals"][told][:, 0] <= known["cosines"][told]).all()
    assert (known["shared"].diagonal() == 90).all()


def test_every_key_is_registered(turn):
    keys = turn[1].values
    assert sorted(key for key in keys if find(key) is None) == []
    assert all(np.isfinite(value) for value in keys.values())


def test_a_model_without_encoder_or_labels_says_what_is_left_out(tmp_path):
    space = LatentSpace(MLPDecoder(2, SHAPE, (8,)), FixedGaussian(SHAPE), StandardNormal(2))
    parts = ("projections", "directions", "probes", "comparison", "imputation")
    found = LatentAnalysis(what=parts, n=40, detail=DETAIL).analyse(space, None, Sink(tmp_path, 1))
    assert set(found.left_out) == {"directions", "probes", "comparison", "imputation"}
    assert found.left_out["imputation"] == "there is no encoder"
    assert "analysis/map/identity/overlap" in found.statistics
    with pytest.raises(TypeError, match="model with a LatentSpace, got Linear"):
        LatentAnalysis().analyse(nn.Linear(1, 1), None, Sink(tmp_path, 1))


def test_few_codes_leave_out_what_needs_more(tmp_path):
    callback = LatentAnalysis(n=9, what=("anomalies", "paths"), detail=AnalysisDetail(k=8))
    found = callback.analyse(model(), Digits(SHAPE, binarise="static"), Sink(tmp_path, 1))
    assert found.left_out == {
        "anomalies": "expected 30 codes or more, got 9",
        "paths": "expected 11 codes or more, got 9",
    }


def test_it_fires_at_its_cadence_and_leaves_training_as_it_was(tmp_path):
    weights = []
    for hooks in ([], [LatentAnalysis(every_n_steps=2, what=("projections", "comparison"), n=40, detail=DETAIL)]):
        logger = CSVLogger(tmp_path / str(len(hooks)))
        vae = model()
        vae.max_steps = 5
        trainer = Trainer(
            max_steps=5,
            callbacks=hooks,
            logger=logger,
            default_root_dir=tmp_path / str(len(hooks)),
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            accelerator="cpu",
        )
        trainer.fit(vae, Digits(SHAPE, binarise="static", batch_size=256))
        weights.append(torch.cat([part.detach().flatten() for part in vae.parameters()]))
    assert torch.equal(*weights)
    with open(next((tmp_path / "1").rglob("metrics.csv")), encoding="utf-8") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row.get("analysis/codes")]
    assert steps == [2, 4, 5]
    with open(next((tmp_path / "1").rglob("metrics.csv")), encoding="utf-8") as file:
        alike = [row["analysis/comparison/last_turn/cka"] for row in csv.DictReader(file) if row["analysis/codes"]]
    assert alike[0] == ""
    assert all(0.5 < float(value) <= 1 for value in alike[1:])


def test_a_model_that_has_diverged_gets_a_warning_in_training_and_an_error_otherwise(tmp_path):
    vae, data, callback = model(), Digits(SHAPE, binarise="static"), LatentAnalysis(n=5)
    nn.init.constant_(vae.latent_space.encoder.layers[0].weight, float("nan"))
    sink = Sink(tmp_path, 1)
    with pytest.raises(ValueError, match="expected finite codes"):
        callback.analyse(vae, data, sink)
    callback.setup(SimpleNamespace(datamodule=data), vae, "fit")
    with pytest.warns(UserWarning, match="LatentAnalysis analysed nothing: expected finite codes"):
        callback.run(vae.latent_space, None, sink)
    assert sink.values == {}


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match="parts out of neighbours, dimension, clusters"):
        LatentAnalysis(what=("nothing",))
    with pytest.raises(ValueError, match="n of at least 1, got 0"):
        LatentAnalysis(n=0)
    with pytest.raises(ValueError, match="missing values between 0 and 1"):
        AnalysisDetail(missing=1.0)
    with pytest.raises(ValueError, match="would never fire"):
        LatentAnalysis(turns=Turns(at_end=False))


def test_what_is_missing_is_no_class():
    table = Codes(np.random.default_rng(0).normal(size=(6, 2)), columns={"a": ["x", None, "y"] * 2, "b": [0, 1] * 3})
    collected = Collected(table, None, None, None, "items", "", None, 0)
    space = LatentSpace(MLPDecoder(2, SHAPE, (8,)), FixedGaussian(SHAPE), StandardNormal(2))
    subject = Subject(nn.Module(), space, collected, AnalysisDetail())
    assert subject.columns() == ["a", "b"]
    assert subject.classes()[0] == "b"
