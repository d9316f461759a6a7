"""The table that closes a run: what a game and its samples came to, and no cost of measuring it."""

from pathlib import Path

import pytest

from lsgen.cli.output.summary import print_summary
from lsgen.runs import RunDirectory

HEADER = (
    "step,train/critic/adversarial,train/generator/adversarial,sample/quality/modes,sample/quality/seconds,"
    "sample/diversity,sample/diversity/share_of_training,sample/comparison/fd_classifier,reconstruction/inversion/error,"
    "reconstruction/seconds,sample/neighbours/ratio"
)


@pytest.fixture(autouse=True)
def _config(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{trainer: {limit_val_batches: 16, limit_test_batches: null}}")


def test_a_game_shows_its_samples_and_its_players(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.csv").write_text(
        f"{HEADER}\n1,0.5,0.25,7,3,,,,,,\n2,0.75,0.125,8,3,0.9,0.01,12.5,0.02,4,1.1\n"
    )
    print_summary(RunDirectory(tmp_path), {})
    lines = {line.strip("│ ").split("│")[0].strip(): line for line in capsys.readouterr().out.splitlines()}
    for name, value in {
        "modes": "8", "diversity": "0.9", "fd_classifier": "12.5", "inversion/error": "0.02", "neighbours/ratio": "1.1",
        "critic/adversarial": "0.75", "generator/adversarial": "0.125",
    }.items():  # fmt: skip
        assert value in lines[name]
    assert not any("seconds" in name or "share" in name for name in lines)


def test_a_vae_shows_no_players(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.csv").write_text("step,val/elbo,train/elbo\n1,-90,-95\n")
    print_summary(RunDirectory(tmp_path), {"test/elbo": -91.0})
    shown = capsys.readouterr().out
    assert "ELBO" in shown
    assert "measured val over 16 batches; `lsgen evaluate` takes all" in shown
    assert "samples and players" not in shown


def test_a_model_without_a_bound_shows_its_loss_and_what_its_codes_find(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.csv").write_text("step,val/loss,retrieval/map_at_r\n1,0.25,0.75\n")
    print_summary(RunDirectory(tmp_path), {"test/loss": 0.5})
    lines = {line.strip("│ ").split("│")[0].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert "0.25" in lines["loss"]
    assert "0.5" in lines["loss"]
    assert "0.75" in lines["MAP@R"]
