"""The score of class probabilities, chosen by the yamls that judge samples."""

import csv

import numpy as np
import pytest

from lsgen.cli import main


@pytest.mark.slow
def test_a_gan_trained_with_gan_quality_has_the_score_of_its_classifier(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run = tmp_path / "run"
    arguments = ["train", "experiment=wgan_gp_digits", f"run_dir={run}", "model.max_steps=2", "report=false"]
    small = ["~callbacks.neighbours", "~callbacks.inversion", "logger=csv", "data.batch_size=16", "test=false"]
    settings = {
        "callbacks.comparison.n": 40,
        "+callbacks.comparison.extractor.steps": 20,
        "+callbacks.comparison.neighbourhoods._target_": "lsgen.callbacks.Neighbourhoods",
        "+callbacks.comparison.neighbourhoods.splits": 4,
    }
    code = main([*arguments, *small, *(f"{key}={value}" for key, value in settings.items())])
    assert code == 0, capsys.readouterr().err
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("sample/comparison/classifier_score")]
    (row,) = rows
    assert 1 <= float(row["sample/comparison/classifier_score"]) <= 10
    assert float(row["sample/comparison/classifier_score_std"]) >= 0
    assert "sample/comparison/inception_score" not in row, "the published name is Inception's"
    (provenance,) = (run / "figures" / "sample" / "comparison").glob("*.npz")
    assert str(np.load(provenance)["splits"]) == "4"
