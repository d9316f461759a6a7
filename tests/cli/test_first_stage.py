"""A run as the first stage of another: its config and weights are kept by the new run, which needs it no more."""

import shutil
from pathlib import Path

import pytest
import torch

import lsgen
from lsgen.cli import main

pytestmark = pytest.mark.slow
SMALL = ["data=digits", "model.max_steps=2", "callbacks=engine", "logger=none", "report=false", "test=false",
         "trainer.limit_val_batches=1", "data.batch_size=8"]  # fmt: skip
LATENT = ["model=edm", "net=mlp_denoiser", "likelihood=none", "model.denoiser.net.hidden=[8]"]


def test_a_run_is_the_first_stage_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    vae = ["model=vae", "net=mlp", "model.prior.dim=3", "model.encoder.hidden=[8]", "model.decoder.hidden=[8]"]
    assert main(["train", *SMALL, *vae, "run_dir=first"]) == 0
    latent = [*SMALL, *LATENT, "model.first_stage=first"]
    capsys.readouterr()
    assert main(["train", *latent, "run_dir=refused"]) == 2
    assert "expected a denoiser of shape (3,), as codes of the first stage, got (1, 8, 8)" in capsys.readouterr().err
    assert main(["train", *latent, "model.denoiser.net.shape=[3]", "run_dir=second"]) == 0
    assert "eval mode" not in capsys.readouterr().err
    first = lsgen.load("first")
    shutil.rmtree("first")
    second = lsgen.load("second")
    z = torch.randn(4, 3)
    assert torch.equal(second.decoder.first_stage.space.raw(z), first.latent_space.raw(z))
    assert second.latent_space.sample(2).shape == (2, 1, 8, 8)
    assert main(["train", "resume=second", "model.max_steps=4"]) == 0
    assert lsgen.load("second").generator_steps == 4
