"""`lsgen train` refuses splits without observations before the first step; `lsgen evaluate` leaves them out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REFUSED = {
    "data.val_size=0": "Digits expected at least one observation in the val split, got none: its val_size sets",
    "data.val_size=1e-4": "Digits expected at least one observation in the val split, got none: its val_size",
    "test=true data.test_size=0": "Digits expected at least one observation in the test split, got none: its test_size",
    "test=true trainer.limit_test_batches=0": "limit_test_batches above 0, got 0, which leaves no test batch; ",
    "trainer.limit_val_batches=0": "validations, whose val/elbo decides on best.ckpt, got none",
    "data.batch_size=5000 data.loading.drop_last=true": "at least 5000 (drop_last) observations for batch_size 5000",
}


def test_what_has_no_observations_is_refused(lsgen, small, tmp_path: Path) -> None:
    """One sentence, exit code 2, and nothing left behind."""
    for options, sentence in REFUSED.items():
        outcome = lsgen("train", *small, *options.split(), f"run_dir={tmp_path}/run")
        assert outcome.code == 2, (options, outcome.err)
        told = [line for line in outcome.err.splitlines() if line.startswith("lsgen: ")]
        assert len(told) == 1
        assert sentence in told[0]
        assert "Traceback" not in outcome.err
        assert not (tmp_path / "run").exists()


def test_an_evaluation_measures_the_splits_that_there_are(lsgen, small, tmp_path: Path) -> None:
    """A run that was trained without validation data has a test set all the same."""
    alone = ("data.val_size=0", "trainer.limit_val_batches=0", "callbacks.checkpoint.monitor=null")
    assert lsgen("train", *small, *alone, f"run_dir={tmp_path}/run").code == 0
    outcome = lsgen("evaluate", f"{tmp_path}/run")
    assert outcome.code == 0
    assert "lsgen: left out: Digits expected at least one observation in the val split" in outcome.err
    metrics = json.loads((tmp_path / "run" / "evaluation" / "last.json").read_text())["metrics"]
    assert {key.partition("/")[0] for key in metrics} == {"test"}

    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("test_size: 360", "test_size: 0"))
    outcome = lsgen("evaluate", f"{tmp_path}/run")
    assert outcome.code == 2
    assert "in the val split, got none" in outcome.err
    assert "in the test split, got none" in outcome.err
