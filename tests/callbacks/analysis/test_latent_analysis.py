"""The analysis of codes logs what the functions of `lsgen.analysis` return, and says what it leaves out."""

import csv
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn

from lsgen.analysis.analogies import (
    PAIR_SET_METHODS,
    attribute_analogies,
    evaluate_analogies,
    evaluate_pair_sets,
    read_questions,
)
from lsgen.analysis.anomalies import anomaly_panel
from lsgen.analysis.directions import Resampling, attribute_direction, attribute_probes, leakage, pair_alignment
from lsgen.analysis.probing import ProbeOptions, probe
from lsgen.analysis.projections import map_stability, tsne
from lsgen.callbacks import AnalysisDetail, CSVLogger, Explorer, LatentAnalysis, Turns
from lsgen.callbacks.analysis.collection import Collected, collect_codes
from lsgen.callbacks.analysis.contents import PageOptions
from lsgen.callbacks.analysis.parts.analogy_questions import analogies
from lsgen.callbacks.analysis.parts.attributes import directions
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.mapping import projections
from lsgen.callbacks.analysis.parts.predictions import probes
from lsgen.callbacks.analysis.parts.subject import Subject
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Digits
from lsgen.latent import Codes, Euclidean, FeatureSpace, ItemSpace, LatentSpace, StandardNormal
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


@pytest.mark.slow
def test_statistics_are_those_of_the_analysis(turn):
    vae, sink, found = turn
    codes = collect_codes(vae, Digits(SHAPE, binarise="static"), 90).codes
    curves = probe(codes, "label", options=PROBES)
    for budget, score in zip(curves.budgets, curves.scores["codes"], strict=True):
        assert found.statistics[f"analysis/probe/label/codes/{budget}"] == score
        assert sink.values[f"analysis/probe/label/codes/{budget}_low"] == score.interval[0]
    assert {"raw", "pca", "untrained", "majority"} <= {key.split("/")[3] for key in found.statistics if "probe" in key}
    left_out = {name: reason for name, reason in found.left_out.items() if not name.startswith("leakage of")}
    if find_spec("skdim") is None:
        assert "lsgen[maps]" in left_out.pop("dimension")
    assert left_out.pop("analogies").startswith("there is no file of questions about items, and no two columns")
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


def test_alignment_and_leakage_of_directions_are_those_of_the_analysis(turn):
    vae, sink, found = turn
    codes = collect_codes(vae, Digits(SHAPE, binarise="static"), 90).codes
    label = codes.columns["label"]
    exact = pair_alignment(codes, label != 3, label == 3)
    assert found.statistics["analysis/direction/label_3/pair_alignment"].value == pytest.approx(exact.value)
    order = np.random.default_rng(0).permutation(90)
    fitted = [value for value in range(10) if (label[order[:45]] == value).any()]
    assert set(found.left_out) >= {f"leakage of label_{value}" for value in range(10) if value not in fitted}
    known, row = [attribute_direction(codes, "label", value) for value in fitted], fitted.index(3)
    probes = attribute_probes(codes, known, np.sort(order[:45]))
    changed = leakage(codes.select(np.sort(order[45:])), known, probes)
    written = np.load(sink.figures / "analysis" / "directions" / "00000007.npz")
    np.testing.assert_allclose(written["leakage"], changed.change, atol=1e-6)
    others = np.abs(np.delete(changed.change[row], row))
    assert sink.values["analysis/leakage/label_3/own"] == pytest.approx(changed.change[row, row], abs=1e-6)
    assert sink.values["analysis/leakage/label_3/others"] == pytest.approx(others.max(), abs=1e-6)
    assert (sink.figures / "analysis" / "leakage" / "00000007.png").is_file()


def test_a_class_and_a_column_that_are_called_alike_are_both_taken(tmp_path):
    z = np.random.default_rng(0).normal(size=(60, 2))
    codes = Codes(z, columns={"a": np.arange(60) % 3, "a_1": z[:, 0]})
    collected, found = Collected(codes, None, None, None, "items", "", None, 0), Findings(Sink(tmp_path, 1))
    directions(Subject(nn.Module(), Words(), collected, AnalysisDetail()), found)
    expected = {"a_0", "a_1", "a_2", "a_1_2"}  # three classes of a, and the column a_1
    assert {key.split("/")[2] for key in found.statistics if "/leakage/" in key} == expected
    column = attribute_direction(codes, "a_1", resampling=Resampling(seed=0))
    assert found.statistics["analysis/direction/a_1_2/reliability"] == column.reliability


class Words(ItemSpace):
    """A closed set of named items whose pairs differ by one vector."""

    dim, manifold = 4, Euclidean()

    def items(self):
        rng = np.random.default_rng(0)
        a = rng.normal(size=(20, 4))
        names = [*(f"w{i}" for i in range(20)), *(f"w{i}s" for i in range(20))]
        return Codes(np.concatenate([a, a + 9 * np.eye(4)[0]]), names, columns={"plural": [0] * 20 + [1] * 20})


def test_items_without_decoder_are_analysed_and_asked_by_name(tmp_path):
    file = tmp_path / "questions.txt"
    file.write_text(": plural\n" + "".join(f"w{i} w{i}s w{i + 1} w{i + 1}s\n" for i in range(5)), encoding="utf-8")
    model = SimpleNamespace(latent_space=Words())
    callback = LatentAnalysis(n=30, what=("neighbours", "directions", "analogies", "paths", "imputation"))
    callback.detail = AnalysisDetail(k=3, analogies=str(file))
    sink = Sink(tmp_path, 1)
    found = callback.analyse(model, None, sink)
    exact = evaluate_analogies(Words().items(), *read_questions(file)).total
    assert found.statistics["analysis/analogy/questions/standard"] == exact.standard
    assert found.statistics["analysis/analogy/questions/coverage"].value == 1
    pairs = [(f"w{i}", f"w{i}s") for i in range(6)]  # those of the questions, each once
    for method in PAIR_SET_METHODS:
        total = evaluate_pair_sets(Words().items(), {"plural": pairs}, method).total
        assert found.statistics[f"analysis/analogy/{method}/standard"] == total.standard
        assert found.statistics[f"analysis/analogy/{method}/standard"].n == 6
    assert set(found.left_out) == {"paths", "imputation"}
    assert found.left_out["paths"] == "there is no decoder"
    assert sorted(key for key in sink.values if find(key) is None) == []


def test_whole_numbers_of_which_most_come_once_are_no_classes(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 2))
    codes = Codes(z, columns={"count": np.argsort(np.argsort(z[:, 0])), "kind": rng.integers(0, 3, 60)})
    collected, found = Collected(codes, None, None, None, "items", "", None, 0), Findings(Sink(tmp_path, 1))
    probes(Subject(nn.Module(), Words(), collected, AnalysisDetail(probes=ProbeOptions(budgets=(None,)))), found)
    scores = {key: one.value for key, one in found.statistics.items()}
    assert scores["analysis/probe/count/codes/48"] > 0.8  # ranks of a coordinate, by regression: no rank comes twice
    assert scores["analysis/probe/count/majority/48"] < 0.1
    assert 0 <= scores["analysis/probe/kind/codes/48"] <= 1


def test_groups_of_two_columns_are_asked_about_where_there_is_no_file(tmp_path):
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 3, 90), rng.integers(0, 3, 90) / 2
    z = rng.normal(size=(3, 2))[first] + rng.normal(size=(3, 2))[(2 * second).astype(int)]
    codes = Codes(z, columns={"a": first, "as text": first.astype(str), "b": second, "c": rng.normal(size=90)})
    collected = Collected(codes, None, None, None, "items", "", None, 0)
    found = Findings(Sink(tmp_path, 1))
    analogies(Subject(nn.Module(), Words(), collected, AnalysisDetail()), found)
    assert found.statistics["analysis/analogy/a_b/honest"] == attribute_analogies(codes, "a", "b").total.honest
    assert {key.split("/")[2] for key in found.statistics} == {"a_b"}


def test_a_model_with_an_encoder_alone_is_analysed_while_it_trains(tmp_path):
    class Siamese(LightningModule):
        def __init__(self):
            super().__init__()
            self.latent_space = FeatureSpace(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), 3)

        def training_step(self, batch, batch_idx):
            return self.latent_space.encode(batch["x"]).mean.square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.01)

    hooks = [
        LatentAnalysis(what=("projections", "paths", "imputation"), n=40, detail=DETAIL),
        Explorer(n=40, options=PageOptions(maps=())),
    ]
    trainer = Trainer(
        max_steps=2,
        callbacks=hooks,
        logger=CSVLogger(tmp_path),
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(Siamese(), Digits(SHAPE, binarise="static", batch_size=256))
    assert (tmp_path / "explorer.html").stat().st_size > 100_000
    assert next(tmp_path.glob("figures/analysis/codes/*.npz")).is_file()


def test_maps_of_further_seeds_are_laid_over_the_one_that_is_drawn(tmp_path):
    pytest.importorskip("openTSNE")
    codes = Codes(np.random.default_rng(0).normal(size=(60, 4)))
    collected = Collected(codes, None, None, None, "items", "", None, 0)
    found = Findings(Sink(tmp_path, 1))
    projections(Subject(nn.Module(), Words(), collected, AnalysisDetail(k=5, maps=("tsne",), map_seeds=2)), found)
    stable = found.statistics["analysis/map/tsne/stability"]
    exact = map_stability([tsne(codes, seed=seed).coordinates for seed in range(2)])
    assert stable.value == pytest.approx(exact.agreement.value, abs=1e-6)
    np.testing.assert_allclose(found.columns["shift_tsne"], exact.shift_at, atol=1e-6)


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
    with pytest.raises(TypeError, match="model with a latent space, got Linear"):
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
    with pytest.raises(ValueError, match=r"maps out of pca, tsne, .*, got 'foo'"):
        AnalysisDetail(maps=("", "foo"))


def test_codes_of_other_observations_and_columns_that_are_not_there_are_refused(tmp_path):
    data, vae = Digits(SHAPE, binarise="static"), model()
    own = collect_codes(vae, data, 40).codes
    changed = own.columns["label"].copy()
    changed[3] = (changed[3] + 1) % 10
    other = {"other": own.with_columns({"label": changed})}
    few = LatentAnalysis(n=40, what=("comparison",), detail=DETAIL)
    with pytest.raises(ValueError, match=f"other to have the same observations, got another label of '{own.ids[3]}'"):
        few.analyse(vae, data, Sink(tmp_path, 0), other)
    asked = LatentAnalysis(n=40, what=("probes",), detail=AnalysisDetail(columns=("foo",)))
    with pytest.raises(ValueError, match=r"expected columns out of label, .*, got 'foo'"):
        asked.analyse(vae, data, Sink(tmp_path, 0))


def test_what_is_missing_is_no_class():
    table = Codes(np.random.default_rng(0).normal(size=(6, 2)), columns={"a": ["x", None, "y"] * 2, "b": [0, 1] * 3})
    collected = Collected(table, None, None, None, "items", "", None, 0)
    space = LatentSpace(MLPDecoder(2, SHAPE, (8,)), FixedGaussian(SHAPE), StandardNormal(2))
    subject = Subject(nn.Module(), space, collected, AnalysisDetail())
    assert subject.columns() == ["a", "b"]
    assert subject.classes()[0] == "b"


def test_what_was_computed_of_codes_is_no_attribute_unless_it_is_asked_for():
    names = ("label", "elbo", "cluster", "cluster/k-means", "p_knn", "trust_tsne", "t-SNE/x", "occurrences", "points")
    table = Codes(np.random.default_rng(0).normal(size=(6, 2)), columns={name: np.arange(6) for name in names})
    collected = Collected(table, None, None, None, "table", "", None, 0)
    assert Subject(None, None, collected, AnalysisDetail()).columns() == ["label", "points"]
    assert Subject(None, None, collected, AnalysisDetail(columns=("p_knn",))).check().columns() == ["p_knn"]
    with pytest.raises(ValueError, match="expected columns out of label, elbo"):
        Subject(None, None, collected, AnalysisDetail(columns=("p",))).check()
