"""`lsgen geometry`, and what the verbs say of a model without a latent space."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lsgen.runs import RunDirectory, write_yaml

FEW = ("pairs=2", "points=5", "observations=3", "plane_points=4", "starts=2")
PICTURES = (
    "geometry/plane",
    "geometry/eigenfunctions",
    "geometry/spectrum",
    "geodesic/plane",
    "geometry/distances",
    "geometry/frechet_mean",
    "interpolation/geodesic",
    "interpolation/speed",
)

THEIR_RUN = (
    "~callbacks.metrics",
    "callbacks.checkpoint.monitor=null",
    "test=false",
    "report=false",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
)
THIRD_PARTY = """
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli


class Images(LightningDataModule):
    def __init__(self, shape):
        super().__init__()

    def train_dataloader(self):
        x = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(1))
        return DataLoader(TensorDataset(x), 8)

    val_dataloader = train_dataloader


class Plain(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def training_step(self, batch, batch_idx):
        return (self.layer(batch[0].flatten(1)) - batch[0].flatten(1)).square().mean()

    def validation_step(self, batch, batch_idx):
        return None

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


class Model(Plain):
    def __init__(self):
        super().__init__()
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
        decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Unflatten(1, (1, 4, 4)))
        self.latent_space = EncodableLatentSpace(encoder, decoder, Bernoulli((1, 4, 4)), StandardNormal(2))

    def training_step(self, batch, batch_idx):
        space = self.latent_space
        return -space.decode(space.encode(batch[0]).rsample()).log_prob(batch[0].round()).mean()
"""


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LSGEN_TARGETS", "theirs")
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (tmp_path / "conf" / "data").mkdir()
    (tmp_path / "conf" / "model").mkdir()
    (tmp_path / "conf" / "data" / "theirs.yaml").write_text("_target_: theirs.Images\nshape: [1, 4, 4]\n")
    for name in ("Model", "Plain"):
        (tmp_path / "conf" / "model" / f"{name.lower()}.yaml").write_text(f"_target_: theirs.{name}\n")
    yield ("data=theirs", "net=none", "likelihood=none", "optimizer=none", "callbacks=engine", "logger=csv", *THEIR_RUN)
    sys.modules.pop("theirs", None)


@pytest.mark.slow
def test_it_measures_a_checkpoint_and_runs_of_two_seeds_are_compared(lsgen, small):
    kept = (argument for argument in small if not argument.startswith(("model.max_steps", "data.")))
    longer = (*kept, "model.max_steps=100", "model.objective.beta=0.05")  # codes are used early
    for seed in (0, 1):
        assert lsgen("train", *longer, f"seed={seed}", f"run_dir=seed{seed}").code == 0
    run = Path("seed0")
    outcome = lsgen("geometry", "seed0", *FEW)
    assert outcome.code == 0, outcome.err
    for part in ("spectrum, volume, curvature", "geodesics", "distances, Fréchet means", "straight over geodesic"):
        assert part in outcome.out
    record = json.loads((run / "geometry" / "last.json").read_text())
    assert (record["checkpoint"], record["step"]) == ("checkpoints/last.ckpt", 100)
    assert record["settings"] == {
        "kind": "fisher",
        "pairs": 2,
        "points": 5,
        "starts": 2,
        "observations": 3,
        "plane_points": 4,
    }
    assert np.isfinite(list(record["metrics"].values())).all()
    assert record["metrics"]["geodesic/pairs"] == 2
    for key in PICTURES:
        assert (run / "figures" / key / "00000100.png").is_file(), key
    assert "Geometry of a checkpoint" in (run / "report.html").read_text()
    written = (run / "geometry" / "last.json").read_bytes()
    outcome = lsgen("geometry", "seed0", "seed1", *FEW)
    assert outcome.code == 0, outcome.err
    assert (run / "geometry" / "last.json").read_bytes() == written, "what was measured is not measured again"
    other = json.loads(Path("seed1/geometry/last.json").read_text())
    assert other["distances"]["observations"] == record["distances"]["observations"]
    assert other["distances"]["geodesic"] != record["distances"]["geodesic"]
    assert "CV of geodesic distances" in outcome.out
    columns = "seed,geometry/distance/geodesic_cv"
    rows = lsgen("table", "seed0", "seed1", "--columns", columns, "--format", "csv").out.splitlines()[1:]
    assert len(rows) == 2
    assert len({row.split(",")[2] for row in rows}) == 1
    assert float(rows[0].split(",")[2]) > 0


@pytest.mark.slow
def test_a_collapsed_latent_space_has_no_geodesics_and_that_is_said(lsgen, trained):
    outcome = lsgen("geometry", str(trained), *FEW)
    assert outcome.code == 0, outcome.err
    assert "geodesics and distances are left out: no axis carries more than 0.1 nats" in outcome.out
    record = json.loads((trained / "geometry" / "last.json").read_text())
    assert record["metrics"]["geometry/active_axes"] == 0
    assert record["distances"] is None


@pytest.mark.slow
def test_a_generator_without_an_encoder_is_measured_at_draws_from_its_prior(lsgen, tmp_path):
    small = ("model.max_steps=4", "data.batch_size=32", "logger=csv", "report=false", "test=false", "trainer=debug")
    choices = ("data=toy", "model=gan", "model.prior.dim=3", "callbacks=gan", "~callbacks.traversal")
    choices += ("~callbacks.samples", "~callbacks.collapse")
    outcome = lsgen("train", *choices, *small, "trainer.max_epochs=2", "run_dir=gan")
    assert outcome.code == 0, outcome.err
    outcome = lsgen("geometry", "gan", *FEW)
    assert outcome.code == 0, outcome.err
    record = json.loads(Path("gan/geometry/last.json").read_text())
    assert record["metrics"]["geodesic/pairs"] == 2
    assert record["distances"]["observations"] is None
    assert len(record["distances"]["geodesic"]) == 3


@pytest.mark.slow
def test_a_third_partys_module_is_measured_on_its_own_data(lsgen, third_party):
    outcome = lsgen("train", *third_party, "model=model", "run_dir=run")
    assert outcome.code == 0, outcome.err
    outcome = lsgen("geometry", "run", *FEW)
    assert outcome.code == 0, outcome.err
    record = json.loads(Path("run/geometry/last.json").read_text())
    assert record["step"] == 2
    assert "geometry/rank/q50" in record["metrics"]


@pytest.mark.slow
def test_a_module_without_a_latent_space_is_told_so_in_one_sentence_by_every_verb(lsgen, third_party):
    sentence = "expected Plain.latent_space to be a lsgen.latent.{}, got NoneType"
    outcome = lsgen("train", *third_party, "model=plain", "callbacks=default", "run_dir=watched")
    assert outcome.code == 2
    assert _said(outcome)[0].endswith(f"LatentTraversal {sentence.format('Space')}")
    assert lsgen("train", *third_party, "model=plain", "run_dir=run").code == 0
    outcome = lsgen("geometry", "run")
    assert (outcome.code, _said(outcome)) == (2, [f"lsgen: LatentGeometry {sentence.format('LatentSpace')}"])
    run = RunDirectory.open("run")
    callbacks = {"traversal": {"_target_": "lsgen.callbacks.LatentTraversal"}}
    write_yaml(run.config_file, {**run.config(), "callbacks": callbacks})
    outcome = lsgen("traverse", "run")
    assert (outcome.code, _said(outcome)) == (2, [f"lsgen: LatentTraversal {sentence.format('Space')}"])


def _said(outcome):
    return [line for line in outcome.err.splitlines() if not line.startswith("warning: ")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "expected a run directory (one that holds config.yaml) at nothing, got no such directory"),
        (["kind=fisher"], "expected a run directory, got none"),
        (["a", "kind=flat"], "expected kind=fisher, kind=euclidean or kind=expected, got 'flat'"),
        (["a", "pairs=few"], "expected pairs= to be a whole number, got 'few'"),
        (["a", "devcie=cpu"], "unknown option 'devcie=cpu': expected checkpoint=, device=, kind=, pairs=, points=, "),
        (["a", "device=tpu"], "expected device=cpu or device=cuda, got 'tpu'"),
        (["a", "b", "points=9", "points=8"], "points= is given twice"),
        (["none/*"], "expected runs (directories that hold config.yaml) at none/*, found none"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, sentence, lsgen):
    outcome = lsgen("geometry", *arguments)
    assert outcome.code == 2
    assert outcome.err.startswith(f"lsgen: {sentence}")
    assert outcome.err.count("\n") == 1


def test_settings_out_of_range_are_refused_before_any_work(lsgen, tmp_path):
    RunDirectory.create(tmp_path / "run", {"callbacks": {}}, {})
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"")
    outcome = lsgen("geometry", "run", "points=2")
    assert outcome.code == 2
    assert outcome.err == "lsgen: LatentGeodesics expected points of at least 3, got 2\n"
    assert not (tmp_path / "run" / "geometry").exists()
