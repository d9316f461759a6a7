"""What a callback can watch."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from lsgen.cli.config.monitors import check_monitors
from lsgen.cli.errors import UsageError
from lsgen.runs.keys import watchable


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["callbacks.checkpoint.monitor=val/elbow"], "got 'val/elbow'; did you mean val/elbo?"),
        (
            ["callbacks.checkpoint.monitor=test/elbo"],
            "expected callbacks.checkpoint.monitor among what the run will log",
        ),
        (["~callbacks.metrics"], "expected callbacks.checkpoint.monitor among what the run will log, val/loss, got"),
        (
            ["+callbacks.stop={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: elbo}"],
            "expected callbacks.stop.monitor among what the run will log, ",
        ),
    ],
)
def test_a_value_that_nothing_logs_cannot_be_watched(overrides, sentence, lsgen, small, tmp_path, refused):
    refused(lsgen("train", *small, *overrides), tmp_path, sentence)


@pytest.mark.slow
def test_what_is_logged_can_be_watched(lsgen, small):
    stop = "+callbacks.stop={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/kl_dimension/03}"
    outcome = lsgen("train", *small, "callbacks.checkpoint.monitor=val/active_units", stop, "test=true")
    assert outcome.code == 0, outcome.err
    (status,) = Path.cwd().glob("runs/*/status.json")
    declared = [*watchable("LatentModel"), *watchable("LikelihoodMetrics")]
    for key in json.loads(status.read_text())["metrics"]:
        assert any(fnmatchcase(key, pattern) for pattern in declared), key


def test_games_log_no_bound(changed):
    elbo = "callbacks.checkpoint.monitor=val/elbo"
    check_monitors(changed(elbo))
    check_monitors(changed("model._target_=lsgen.models.gan.GAN"))
    with pytest.raises(UsageError, match=r"among what the run will log, val/loss, got 'val/elbo'"):
        check_monitors(changed("model._target_=lsgen.models.gan.GAN", elbo))


def test_deterministic_codes_are_judged_by_their_loss(changed):
    point = "+model.posterior={_target_: lsgen.latent.Deterministic}"
    check_monitors(changed(point, "~callbacks.metrics"))
    with pytest.raises(UsageError, match="among what the run will log, val/loss, got 'val/elbo'"):
        check_monitors(changed("~callbacks.metrics"))


def test_a_model_of_the_user_may_log_anything(tmp_path, monkeypatch, changed):
    (tmp_path / "own_model.py").write_text("from lsgen.models import VAE\nclass Own(VAE):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LSGEN_TARGETS", "own_model")
    check_monitors(changed("model._target_=own_model.Own", "callbacks.checkpoint.monitor=own/score"))
