"""Trials of a search that are ended early."""

from __future__ import annotations

import pytest

from lsgen.runs import Sweep, index
from lsgen.runs.seed_statistics import aggregate

optuna = pytest.importorskip("optuna")

SEARCH = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "seed=range(0,9)")
SEARCH += ("data.batch_size=256", "trainer.check_val_every_n_epoch=1", "model.max_steps=15")


@pytest.mark.slow
def test_bad_trials_end_early_and_are_pruned_everywhere(lsgen, small, tmp_path, here):
    """A threshold that no value passes ends every trial after its second validation."""
    options = "hydra.sweeper.pruner={kind:ThresholdPruner,lower:0,n_warmup_steps:2}"
    outcome = lsgen("train", "-m", *small, *SEARCH, options, "sweep_dir=s", "--hours", "1e-9")
    assert outcome.code == 1
    sweep = Sweep.open(tmp_path / "s")
    assert sweep.states() == ["skipped"]  # and the trial waits
    outcome = lsgen("train", "-m", *small, *SEARCH, options, "sweep_dir=s")
    assert outcome.code == 0, outcome.err
    sweep.reload()
    assert sweep.states() == ["pruned"]
    runs = [sweep.run(job) for job in sweep.jobs]
    assert [run.status()["generator_steps"] for run in runs] == [10]  # two validations, of five steps each
    assert all("val/elbo" in run.status()["metrics"] for run in runs)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "s" / "optuna.journal"))
    study = optuna.load_study(study_name="lsgen", storage=optuna.storages.JournalStorage(backend))
    assert [trial.state.name for trial in study.trials] == ["PRUNED"]
    for trial, run in zip(study.trials, runs, strict=True):
        assert list(trial.intermediate_values) == [1, 2]
        assert trial.value == pytest.approx(run.status()["metrics"]["val/elbo"])
    rows = index(runs)
    assert [row["state"] for row in rows] == ["pruned"]
    (group,) = aggregate(rows, [], ["val/elbo"])
    assert (group.n, group.failed, group.values) == (0, 0, {})
    assert "1 pruned" in lsgen("sweep", "status", "s").out
    assert not (tmp_path / "s" / "best").exists()
    assert lsgen("sweep", "retry", "s").out.startswith("nothing failed")
    lsgen("sweep", "retry", "s", "status=pruned")
    assert sweep.states() == ["done"]
    assert (tmp_path / "s" / "best").resolve() == runs[0].path.resolve()
    assert runs[0].status()["generator_steps"] == 15


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("hydra.sweeper.pruner=MedianPrunner",), "to be a class of optuna.pruners, got 'MedianPrunner'"),
        (("hydra.sweeper.pruner={kind:MedianPruner,foo:1}",), "unexpected keyword argument 'foo'"),
        (
            ("hydra.sweeper.pruner=MedianPruner", "hydra.sweeper.metric=test/elbo"),
            "metric of validations",
        ),
        (
            ("hydra.sweeper.pruner=MedianPruner", "hydra.sweeper.storage=postgresql://me:secret@host/db"),
            "keeps the storage in sweep.json",
        ),
    ],
)
def test_a_pruner_is_checked_before_the_first_trial(overrides, sentence, lsgen, small, tmp_path):
    outcome = lsgen("train", "-m", *small, *SEARCH, *overrides, "sweep_dir=s")
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "secret" not in outcome.err
    assert not list(tmp_path.glob("s/*/config.yaml"))
