"""Bad input: exit code 2, one sentence on standard error, and nothing left behind."""

import pytest
import torch

from lsgen.cli import main
from lsgen.cli.flags import assignments

DIGITS = ("experiment=vae_digits", "logger=csv")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["nothing"],
            "expected a verb among agree, analyse, evaluate, explore, export, geometry, report, reproduce, sweep, "
            "sync, table, train, traverse",
        ),
        (["train", "model.max_step=1"], "unknown config key 'model.max_step'; did you mean max_steps?"),
        (["train", "modle=vae"], "unknown config key 'modle'; did you mean model?"),
        (["train", "~callbacks.nothing"], "unknown config key 'callbacks.nothing'"),
        (["train", "+sed=1"], "unknown config key 'sed': nothing reads it; did you mean seed?"),
        (["train", *DIGITS, "+trainer.max_epoch=1"], "unknown config key 'trainer.max_epoch': "),
        (["train", *DIGITS, "+model.objective.betta=1"], "does not take it; did you mean beta?"),
        (["train", "model=beta_vea"], "expected model to be one of "),
        (["train", "experiment=nothing"], "expected experiment to be one of acgan_cifar10, "),
        (
            ["train", "experiment=vae_digit"],
            "expected experiment to be one of those that `lsgen train --help` lists, got 'vae_digit'; did you mean",
        ),
        (
            ["train", *DIGITS, "callbacks=engine", "model.encoder.shape=[1,9,9]"],
            "the networks do not fit data of shape (1, 8, 8): model.latent_space.",
        ),
        (
            ["train", *DIGITS, "callbacks=engine", "model.decoder.shape=[1,9,9]"],
            "lsgen: Bernoulli expected raw outputs of shape (B, 1, 8, 8), got ",
        ),
        (["train", "seed=${nothing}"], "the config cannot be resolved: Interpolation key 'nothing' not found"),
        (["train", "word"], "Error parsing override 'word'"),
        (
            ["train", "trainer.max_steps=5"],
            "trainer.max_steps counts the steps of every optimiser: set model.",
        ),
        (["train", "+trainer.max_steps=5"], "set model.max_steps, which counts generator steps"),
        (["train", "model._target_=os.system"], "model._target_ names os.system: "),
        (["train", "+model.x._target_=builtins.exec"], "model.x._target_ names builtins.exec: "),
        (["train", "+logger.wandb.api_key=abc"], "logger.wandb.api_key looks like a secret"),
        (["train", "resume=nothing"], "expected a run directory (one that holds config.yaml) at nothing, got no such"),
        (["train", "run_dir="], "expected run_dir=VALUE"),
        (["train", "run_dir=a", "run_dir=b"], "run_dir= is given twice"),
        (["train", "resume=a", "run_dir=b"], "resume= continues one run where it is"),
        (["train", "-m", "resume=a"], "resume= continues one run where it is"),
        (["train", "-m", "run_dir=a"], "run_dir= is the place of one run: give sweep_dir= with -m"),
        (["train", "sweep_dir=a"], "sweep_dir= is the place of a sweep: give -m with it"),
        (["train", *DIGITS, "run_dir=/proc/nothing"], "cannot write the run directory /proc/nothing: "),
        (["train", "--config-dir", "nothing"], "'"),
        (["train", *DIGITS, "data=mnist"], "expected the MNIST data at nowhere/MNIST/raw/"),
        (["train", *DIGITS, "net=conv64", "~model.encoder.hidden", "~model.decoder.hidden"], "conv64 expected images"),
        (["train", *DIGITS, "model.prior.dim=0"], "expected a latent dimension of at least 1, got 0"),
        (["train", *DIGITS, "likelihood=gaussian_fixed", "model.likelihood.sigma=0"], "sigma > 0, got 0"),
        (["train", *DIGITS, "data.batch_size=0"], "expected a batch_size of at least 1, got 0"),
        (["train", *DIGITS, "+data.x=1", "~data.seed"], "unknown config key 'data.x': lsgen.data.Digits does not take"),
        (
            ["train", "data=toy", "likelihood=bernoulli", "logger=csv", "callbacks=engine"],
            "Bernoulli expected observations that are",
        ),
        (["evaluate", "nothing"], "expected a run directory"),
        (["evaluate", "a", "b"], "expected one run directory, got a b"),
        (
            ["evaluate", "a", "devce=cpu"],
            "unknown option 'devce=cpu': expected checkpoint= or device=; did you mean dev",
        ),
        (["train", "--experiment=vae_digits"], "groups and keys go without dashes, experiment=vae_digits"),
        (
            ["train", *DIGITS, "model.max_steps=many"],
            "expected model.max_steps to be a whole number (int) or null, got 'many'",
        ),
        (
            ["train", "data.num_workers=1"],
            "unknown config key 'data.num_workers'; did you mean data.loading.num_workers?",
        ),
        (["train", *DIGITS, "+data.drop_last=true"], "does not take it; did you mean loading.drop_last?"),
        (["train", *DIGITS, "optimizer.lrr=1"], "unknown config key 'optimizer.lrr'; did you mean model.optimizer.lr?"),
        (["train", *DIGITS, "model.prior.scale=1"], "; write +model.prior.scale if its class takes it"),
        (["train", *DIGITS, "trainer.accelerator=abacus"], "trainer: You selected an invalid accelerator name"),
        (["traverse", "nothing"], "expected a run directory"),
        (["evaluate", "nothing.ckpt"], "at nothing.ckpt, got no such file"),
        (["train", "run.name=caf\udce9"], r"expected arguments in utf-8, as the locale says, got b'run.name=caf\xe9'"),
        *(
            (["train", *DIGITS, "callbacks=engine", f"{limit}"], f"generator step, and none was taken: {told}")
            for limit, told in {
                "trainer.limit_train_batches=0": "trainer.limit_train_batches=0",
                "trainer.max_epochs=0": "trainer.max_epochs=0",
                "+trainer.max_time=00:00:00:00": "trainer.max_time=00:00:00:00",
            }.items()
        ),
        (["report", "nothing"], "expected a run directory"),
        (["table", "nothing"], "expected runs (directories that hold config.yaml) at nothing, found none"),
        (["table"], None),
        (["table", "x", "--sorted"], "expected --columns, --sort, --format, "),
        (["table", "x", "--best"], "expected --best VALUE, got nothing after it"),
        (["table", "x", "--metrics", "--by", "seed"], "expected --metrics VALUE, got --by after it"),
        (["table", "x", "--by", "seed", "--by=beta"], "--by is given twice: seed and beta"),
        (["table", "x", "--format", "pdf"], "expected --format rich, csv, md, latex, parquet, got 'pdf'"),
    ],
)
def test_one_sentence(arguments, sentence, lsgen, tmp_path, monkeypatch):
    monkeypatch.setenv("LSGEN_DATA_DIR", "nowhere")
    outcome = lsgen(*arguments)
    if sentence is None:
        assert (outcome.code, outcome.out[:6]) == (0, "usage:")
        return
    assert outcome.code == 2, outcome.err
    said = [line for line in outcome.err.splitlines() if not line.startswith("warning: ")]
    assert len(said) == 1, outcome.err
    assert said[0].startswith("lsgen: ")
    assert sentence in said[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "something was left behind"
    assert outcome.out.count("run      ") == outcome.out.count("removed  "), "where nothing is, was not taken back"


@pytest.mark.slow
def test_a_misspelt_key_in_the_users_overlay(lsgen, tmp_path):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    text = "# @package _global_\ndefaults: [vae_digits, _self_]\n{}\n"
    for body, sentence in (
        ("sed: 3", "unknown config key 'sed' in experiment=mine: no chosen config has it; did you mean seed?"),
        ("callbacks: {traversl: {every_n_steps: 3}}", "'callbacks.traversl' in experiment=mine"),
        ("trainer: {max_epoch: 3}", "unknown config key 'trainer.max_epoch': pytorch_lightning.Trainer"),
        ("model: {objective: {betta: 3}}", "unknown config key 'model.objective.betta': "),
        ("model: {_target_: os.system}", "model._target_ names os.system"),
    ):
        (folder / "mine.yaml").write_text(text.format(body))
        outcome = lsgen("train", "experiment=mine", "logger=csv")
        assert outcome.code == 2
        assert sentence in outcome.err
        assert outcome.err.count("\n") == 1
    assert not list((tmp_path / "runs").glob("*/*"))


@pytest.mark.slow
def test_a_config_cannot_extend_its_own_list(lsgen, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def prior(dim):\n    raise SystemExit('called')\n")
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ("train", *DIGITS, "model.prior._target_=mine.prior")
    outcome = lsgen(*arguments, "+LSGEN_TARGETS=mine", "+hydra.job.env_set.LSGEN_TARGETS=mine")
    assert outcome.code == 2
    assert "LSGEN_TARGETS" in outcome.err
    outcome = lsgen(*arguments, "+hydra.job.env_set={LSGEN_TARGETS: mine}")
    assert outcome.code == 2
    assert "model.prior._target_ names mine.prior" in outcome.err


def test_help_and_version_at_each_level(capsys):
    for verb in ("train", "evaluate", "traverse", "geometry", "report", "table"):
        for flag in ("--help", "-h"):
            assert main([verb, flag]) == 0
            assert f"usage: lsgen {verb}" in capsys.readouterr().out
    assert main(["--help"]) == main([]) == 0
    assert main(["--version"]) == 0
    assert "lsgen 0." in capsys.readouterr().out


def test_changes_of_a_frozen_config_follow_the_grammar_of_the_command_line() -> None:
    known = ("model.lr", "model.beta", "data.root")
    read = assignments(["model.lr=1e-3", "model.beta=[1,2]", "data.root=null"], known)
    assert read == {"model.lr": 1e-3, "model.beta": [1, 2], "data.root": None}


@pytest.mark.skipif(torch.accelerator.is_available(), reason="this machine has an accelerator")
def test_a_gpu_that_is_not_there(lsgen):
    outcome = lsgen("train", *DIGITS, "trainer=gpu")
    assert outcome.code == 2
    assert "expected a GPU for trainer.accelerator=gpu, found none" in outcome.err
