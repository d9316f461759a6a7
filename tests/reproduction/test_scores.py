"""The figure of final metrics shows every run of every arm where it belongs."""

from types import SimpleNamespace

import pytest

from lsgen.reproduction.figures.scores import Scores
from lsgen.runs import RunError


def _results(tmp_path, of):
    runs = {}
    for arm, values in of.items():
        files = [tmp_path / f"{arm}_{seed}.csv" for seed in range(len(values))]
        for file, value in zip(files, values, strict=True):
            file.write_text(f"x/mig,x/kl\n{value},{10 * value}\n")
        runs[arm] = [SimpleNamespace(directory=SimpleNamespace(metrics_file=file)) for file in files]
    return SimpleNamespace(runs=runs.__getitem__)


def test_dots_are_runs_and_lines_are_means(tmp_path):
    of = {"vae": [0.1, 0.3, 0.5], "other": [0.25]}
    axes = Scores(["other", "vae"], ["x/mig", "x/kl"])(_results(tmp_path, of)).axes
    assert [ax.get_xlabel() for ax in axes] == ["mig", "kl"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["other", "vae"]
    for ax, factor in zip(axes, (1, 10), strict=True):
        dots, mean = ax.lines[2].get_xydata(), ax.lines[3].get_xdata()
        assert dots.tolist() == [[pytest.approx(factor * value), 1] for value in of["vae"]]
        assert list(mean) == pytest.approx([0.3 * factor] * 2)
    with pytest.raises(RunError, match="expected x/dci among the metrics of every run"):
        Scores(["vae"], ["x/dci"])(_results(tmp_path, of))
