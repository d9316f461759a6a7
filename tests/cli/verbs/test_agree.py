"""`lsgen agree`: the unsupervised disentanglement ranking of runs of several seeds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from lsgen import load
from lsgen.data import Digits
from lsgen.runs import RunDirectory, write_yaml

TINY = ("callbacks=engine", "logger=csv", "report=false", "test=false", "data.batch_size=512")


def _copied(run, place, **changes):
    """Return a copy of a run whose config differs at the top level."""
    shutil.copytree(run, place)
    config = RunDirectory.open(place).config()
    write_yaml(Path(place) / "config.yaml", {**config, **changes})
    return place


def _formula(mine, theirs, mine_count, theirs_count):
    """Return the score of one pair by the paper's formula, from Spearman's correlations of informative codes."""
    both = np.abs(stats.spearmanr(mine, theirs).statistic)
    r = both[: mine.shape[1], mine.shape[1] :][np.ix_(mine_count, theirs_count)]
    return ((r.max(0) ** 2 / r.sum(0)).mean() + (r.max(1) ** 2 / r.sum(1)).mean()) / 2


@pytest.mark.slow
def test_scores_are_those_of_the_formula_and_stand_in_the_table(lsgen, tmp_path):
    names = [f"seed{seed}" for seed in range(3)]
    for seed, name in enumerate(names):
        settings = ("model.objective.beta=0.05", "model.max_steps=40", f"seed={seed}", f"run_dir={name}")
        assert lsgen("train", "experiment=vae_digits", *TINY, *settings).code == 0
    _copied("seed0", "other", model={**RunDirectory.open("seed0").config()["model"], "max_steps": 41})
    outcome = lsgen("agree", *names, "other", "correlation=spearman", "observations=90")
    assert outcome.code == 0, outcome.err
    assert "left out other: no other of these runs differs from it in the seed only" in outcome.out
    assert not Path("other/agreement").exists()

    data = Digits(val_size=180, test_size=360)
    data.setup("validate")
    codes, informative = [], []
    for name in names:
        with torch.no_grad():
            q = load(name).latent_space.encode(data.probe(90)["x"]).base_dist
        kl = (q.mean.square() + q.variance - 1 - q.variance.log()) / 2  # of N(mean, variance) from N(0, 1)
        codes.append(q.mean.double().numpy())
        informative.append(np.flatnonzero(kl.mean(0) > 0.01))
    assert all(map(len, informative)), "codes are used"
    scores = []
    for i, name in enumerate(names):
        record = json.loads(Path(name, "agreement", "last.json").read_text())
        pairs = {
            other: _formula(codes[i], codes[j], informative[i], informative[j])
            for j, other in enumerate(names)
            if j != i
        }
        assert record["pairs"] == pytest.approx(pairs, rel=1e-5)
        assert record["informative"] == informative[i].tolist()
        assert record["settings"] == {"observations": 90, "correlation": "spearman"}
        scores.append(record["metrics"]["agreement/udr"])
        assert scores[-1] == pytest.approx(np.median(list(pairs.values())), rel=1e-5)
    table = lsgen("table", *names, "--columns", "seed,agreement/udr", "--format", "csv").out.splitlines()[1:]
    assert [float(row.split(",")[2]) for row in table] == pytest.approx(scores, rel=1e-4)

    _copied("seed0", "again")
    outcome = lsgen("agree", "seed0", "seed1", "again")
    assert outcome.code == 2
    assert outcome.err == "lsgen: expected runs that differ in their seed, got again and seed0 with the seed 0\n"
    outcome = lsgen("agree", "seed0", "seed1")
    assert (outcome.code, "UDR (lasso) over 180 observations" in outcome.out) == (0, True), outcome.err
    assert list(json.loads(Path("seed0/agreement/last.json").read_text())["pairs"]) == ["seed1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        (("data=toy", "model=gan", "callbacks=engine"), "expected a latent space with an encoder, got GeneratorSpace"),
        (
            ("data=digits", "model=wae_mmd", "callbacks=engine"),
            "expected a posterior and a prior with a KL divergence of each code in closed form, got Point and "
            "Independent",
        ),
    ],
)
def test_models_without_what_it_takes_are_refused(choices, sentence, lsgen):
    small = ("model.max_steps=2", "data.batch_size=64", "logger=csv", "report=false", "test=false", "run_dir=one")
    outcome = lsgen("train", *choices, *small)
    assert outcome.code == 0, outcome.err
    _copied("one", "two", seed=17)
    outcome = lsgen("agree", "one", "two")
    assert outcome.code == 2
    assert outcome.err == f"lsgen: one: {sentence}\n"
    assert not Path("one/agreement").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["observations=few"], "expected observations= to be a whole number of at least 2, got 'few'"),
        (["observations=1"], "expected observations= to be a whole number of at least 2, got '1'"),
        (["correlation=pearson"], "expected correlation=lasso or correlation=spearman, got 'pearson'"),
        (["device=cpu"], "expected run directories, got none"),
        (
            ["a", "devcie=cpu"],
            "unknown option 'devcie=cpu': expected checkpoint=, device=, observations= or ",
        ),
        (["none/*"], "expected runs (directories that hold config.yaml) at none/*, found none"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, sentence, lsgen):
    outcome = lsgen("agree", *arguments)
    assert outcome.code == 2
    assert outcome.err.startswith(f"lsgen: {sentence}")
    assert outcome.err.count("\n") == 1


def test_runs_that_differ_in_more_than_their_seed_are_not_compared(lsgen, tmp_path):
    for seed, beta in ((0, 1.0), (1, 2.0)):
        RunDirectory.create(tmp_path / f"{beta}", {"seed": seed, "model": {"beta": beta}, "callbacks": {}}, {})
    outcome = lsgen("agree", ".")
    assert outcome.code == 2
    sentence = "expected at least 2 runs that differ in their seed only, got 2 and no such pair"
    assert outcome.err == f"lsgen: {sentence}\n"
