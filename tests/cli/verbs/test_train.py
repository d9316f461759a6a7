"""`lsgen train`: where a run goes, what it leaves, how it continues."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import lsgen as package
from lsgen.callbacks import read_checkpoint
from lsgen.cli.errors import UsageError
from lsgen.runs import RunDirectory, RunError
from lsgen.runs.metrics import last_metrics

pytestmark = pytest.mark.slow


def runs_of(sweep):
    """Return the runs of a sweep by number; its best run is linked beside them."""
    return [RunDirectory(path) for path in sorted(sweep.glob("0*_*"))]


def files(directory):
    """Return all files of a run with their contents."""
    return {path: path.read_bytes() for path in sorted(Path(directory).rglob("*")) if path.is_file()}


def test_a_run_leaves_what_the_layout_promises(lsgen, tmp_path, small):
    outcome = lsgen("train", *small, "test=true", "run_dir=a=b,[c]")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("run      a=b,[c]\n")
    assert outcome.out.count("run      ") == 1
    run = RunDirectory.open("a=b,[c]")
    config, provenance, status = run.config(), run.provenance(), run.status()
    assert config["model"]["max_steps"] == 6
    assert config["trainer"]["default_root_dir"] == "${oc.env:LSGEN_RUN_DIR}"
    assert provenance["argv"][1:3] == ["train", "experiment=vae_digits"]
    assert provenance["choices"]["data"] == "digits"
    assert "model.max_steps=6" in provenance["overrides"]
    assert provenance["id"] == config["run"]["id"]
    assert (status["state"], status["generator_steps"]) == ("finished", 6)
    assert {"val/elbo", "test/elbo", "test/active_units"} <= set(status["metrics"])
    assert read_checkpoint(run.checkpoint())["config"] == config
    assert "LSGEN_RUN_DIR" not in os.environ
    for row in ("ELBO", "reconstruction", "KL", "active units"):
        assert row in outcome.out


def test_default_places_are_named_by_choices(lsgen, tmp_path, small):
    assert lsgen("train", *small).code == 0
    arguments = [argument for argument in small if not argument.startswith("experiment")]
    assert lsgen("train", *arguments, "data=digits", "model=vae", "net=mlp", "run.tags=[x]").code == 0
    assert lsgen("train", *arguments, "data=digits", "net=mlp", "hydra.run.dir=chosen").code == 0
    runs = [RunDirectory(path) for path in (tmp_path / "runs").iterdir()]
    assert sorted(run.config()["run"]["name"] for run in runs) == ["digits_vae", "vae_digits"]
    for run in runs:
        assert run.path.name.endswith(f"_{run.config()['run']['name']}_{run.id}")
    assert RunDirectory.open("chosen").status()["state"] == "finished"
    assert not (tmp_path / "outputs").exists()


def test_resuming_what_is_finished_changes_nothing_and_extending_it_works(lsgen, trained):
    before = files(trained)
    for arguments in ([], ["model.max_steps=6"], ["model.max_steps=3"], ["logger.csv.save_dir=x"]):
        outcome = lsgen("train", f"resume={trained}", *arguments)
        assert outcome.code == 0
        assert "nothing is left to train" in outcome.out
        assert files(trained) == before
    assert lsgen("train", f"resume={trained}", "model.max_steps=9").code == 0
    run = RunDirectory.open(trained)
    assert run.status()["generator_steps"] == 9
    assert run.config_file.read_bytes() == before[run.config_file]
    assert run.overrides() == {"model.max_steps": 9}
    assert lsgen("train", f"resume={trained}").code == 0
    assert len(run.provenance()["attempts"]) == 1


def test_a_resumed_run_admits_few_changes(lsgen, trained):
    before = files(trained)
    for argument, sentence in (
        ("seed=3", "a resumed run keeps its frozen config, which 'seed=3' would change"),
        ("model=vae", "which 'model=vae' would change"),
        ("logger.csv.dir=x", "unknown config key 'logger.csv.dir'"),
        ("model.max_steps=many", "expected a whole number of at least 1 for model.max_steps, got 'many'"),
        ("model.max_steps=true", "expected a whole number of at least 1 for model.max_steps, got True"),
        ("model.max_steps=-1", "expected a whole number of at least 1 for model.max_steps, got -1"),
        ("model.max_steps=", "expected model.max_steps=VALUE, got nothing after the ="),
        ("trainer.max_epochs=-2", "expected a whole number of at least -1 for trainer.max_epochs, got -2"),
        ("model.max_steps=[", "expected model.max_steps=VALUE with a yaml value"),
    ):
        outcome = lsgen("train", f"resume={trained}", argument)
        assert outcome.code == 2
        assert sentence in outcome.err
    assert files(trained) == before


def test_an_extended_run_is_bitwise_the_longer_run(lsgen, trained, tmp_path, small):
    assert lsgen("train", f"resume={trained}", "model.max_steps=10").code == 0
    longer = [argument for argument in small if not argument.startswith("model.max_steps")]
    assert lsgen("train", *longer, "model.max_steps=10", "run_dir=straight").code == 0
    resumed, straight = (read_checkpoint(RunDirectory(path).checkpoint()) for path in (trained, "straight"))
    for name, weight in straight["state_dict"].items():
        assert torch.equal(weight, resumed["state_dict"][name]), name


def test_a_run_killed_before_its_first_checkpoint_begins_again(lsgen, trained, tmp_path):
    weights = read_checkpoint(RunDirectory(trained).checkpoint())["state_dict"]
    for name in ("last.ckpt", "previous.ckpt", "best.ckpt"):
        (trained / "checkpoints" / name).unlink(missing_ok=True)
    RunDirectory(trained).set_status("running")
    assert lsgen("train", f"resume={trained}").code == 0
    again = read_checkpoint(RunDirectory(trained).checkpoint())["state_dict"]
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_a_taken_place_is_left_alone(lsgen, trained, small):
    before = files(trained)
    outcome = lsgen("train", *small, f"run_dir={trained}")
    assert outcome.code == 2
    assert "already holds a run" in outcome.err
    assert files(trained) == before


def test_a_sweep_gives_each_job_its_place_and_survives_a_failing_one(lsgen, tmp_path, small):
    outcome = lsgen("train", "-m", *small, "sweep_dir=s=1", "model.prior.dim=2,0,3")
    assert outcome.code == 1
    assert f"{tmp_path}/s=1  2 done, 1 failed" in outcome.out
    runs = runs_of(tmp_path / "s=1")
    assert [run.status()["state"] for run in runs] == ["finished", "failed", "finished"]
    assert [run.config()["model"]["prior"]["dim"] for run in runs] == [2, 0, 3]
    assert "latent dimension of at least 1" in runs[1].status()["error"]
    assert len({run.id for run in runs}) == 3
    assert {run.config()["run"]["group"] for run in runs} == {"s=1"}
    table = lsgen("table", "s=1", "--runs", "--format", "csv", "--sort", "-model.prior.dim").out.splitlines()
    assert table[0].startswith("run,state,model.prior.dim")
    assert [line.split(",")[1:3] for line in table[1:]] == [["finished", "3"], ["finished", "2"], ["failed", "0"]]


def test_the_users_conf_shadows_and_extends(lsgen, tmp_path, monkeypatch):
    def write(folder, name, text):
        path = tmp_path / folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def beta(*arguments):
        out = lsgen("train", "model=vae", *arguments, "--cfg", "job", "--package", "model.objective.beta").out
        return float(out)

    shipped = beta()
    vae = "_target_: lsgen.models.VAE\nmax_steps: 5\nobjective: {{_target_: lsgen.models.vae.ELBO, beta: {}}}\n"
    write("conf/model", "vae", vae.format(11))
    assert (shipped, beta()) == (1.0, 11.0)
    write("named/model", "vae", vae.format(12))
    monkeypatch.setenv("LSGEN_CONF", "named")
    assert beta() == 12.0
    write("given/model", "vae", vae.format(13))
    assert beta("--config-dir", "given") == beta("--config-dir=given") == 13.0
    write("conf", "mine", "defaults: [train, _self_]\nseed: 5\n")
    assert "seed: 5" in lsgen("train", "--config-name", "mine", "--cfg", "job").out
    write("elsewhere/model", "other", "defaults: [vae, _self_]\nmax_steps: 77\n")
    found = lsgen("train", f"hydra.searchpath=[file://{tmp_path}/elsewhere]", "model=other", "--cfg", "job")
    assert "max_steps: 77" in found.out
    assert "vae" in lsgen("train", "--help").out


def test_load_evaluate_and_traverse(lsgen, trained, tmp_path):
    moved = trained.rename(tmp_path / "moved")
    model = package.load(moved)
    checkpoint = read_checkpoint(moved / "checkpoints" / "last.ckpt")
    assert not model.training
    assert model.generator_steps == 6
    for loaded in (
        model,
        package.load(moved / "checkpoints" / "last.ckpt"),
        package.load(moved, "checkpoints/last.ckpt"),
    ):
        state = loaded.state_dict()
        assert all(torch.equal(weight, state[name]) for name, weight in checkpoint["state_dict"].items())
    with pytest.raises(RunError, match=r"expected checkpoint=best, last or a file, got 'none.ckpt'"):
        package.load(moved, "none.ckpt")
    outcome = lsgen("evaluate", str(moved))
    assert outcome.code == 0, outcome.err
    record = json.loads((moved / "evaluation" / "last.json").read_text())
    assert record["step"] == 6
    assert record["checkpoint"] == "checkpoints/last.ckpt"
    with torch.no_grad():
        data = model.latent_space.sample(3)
    assert data.shape == (3, 1, 8, 8)
    assert lsgen("evaluate", str(moved)).code == 0
    assert json.loads((moved / "evaluation" / "last.json").read_text())["metrics"] == record["metrics"]
    outcome = lsgen("traverse", str(moved))
    assert outcome.code == 2
    assert "expected a run whose config has a latent-space callback" in outcome.err


def test_evaluate_estimates_the_evidence_where_a_run_asks_for_it(lsgen, small):
    asked = "+callbacks.evidence={_target_: lsgen.callbacks.EvidenceMetrics, samples: 50, n: 1000}"
    assert lsgen("train", *small, asked, "run_dir=run").code == 0
    outcome = lsgen("evaluate", "run")
    assert outcome.code == 0, outcome.err
    found = json.loads(Path("run/evaluation/last.json").read_text())["metrics"]
    assert found["test/nll"] <= -found["test/elbo"] + 0.5
    assert 1 <= found["test/nll_effective_samples"] <= 50


def test_traverse_draws_what_training_drew_and_report_shows_it(lsgen, small, tmp_path):
    arguments = [argument for argument in small if not argument.startswith("callbacks")]
    assert lsgen("train", *arguments, "~callbacks.geometry", "run_dir=run").code == 0
    drawn = files("run/figures")
    kinds = {path.relative_to("run/figures").parts[0] for path in drawn}
    assert {"traversal", "interpolation", "reconstruction", "sample"} <= kinds
    for path in drawn:
        path.unlink()
    outcome = lsgen("traverse", "run")
    assert outcome.code == 0, outcome.err
    assert files("run/figures") == drawn
    assert lsgen("traverse", "run", "callbacks.samples.n=4").code == 0
    changed = {path for path, content in files("run/figures").items() if content != drawn[path]}
    assert {path.parts[2] for path in changed} == {"sample"}
    assert lsgen("traverse", "run", "+callbacks.samples.n=3").code == 0, "with the + of `lsgen train` too"
    assert lsgen("traverse", "run", "callbacks.samples.m=4").code == 2
    assert lsgen("report", "run", "checkpoint=last").code == 0
    assert Path("run/report.html").read_text().startswith("<!")
    assert Path("run/evaluation/last.json").is_file()


def test_wandb_knows_the_run_as_its_directory_does(lsgen, small, tmp_path, monkeypatch, read_wandb):
    monkeypatch.delenv("WANDB_MODE")
    arguments = [argument for argument in small if argument not in ("logger=csv", "model.max_steps=6")]
    sweep = ("-m", "run.tags=[first,second]", "model.max_steps=2", "seed=0,1", "sweep_dir=sweep")
    assert lsgen("train", *arguments, *sweep).code == 0
    runs = runs_of(tmp_path / "sweep")
    for run in runs:
        record = read_wandb(run.path)
        assert record.id == run.id
        assert (record.group, record.job_type, record.name) == ("sweep", "vae", "vae_digits")
        assert record.tags == ["first", "second"]
        assert record.config["seed"] == run.config()["seed"]
        assert record.config["model"]["objective"]["beta"] == 1.0
        assert record.values("train/loss")
        assert record.exit_codes == [0]
    assert runs[0].id != runs[1].id


def test_a_checkpoint_names_no_more_than_a_config_may(trained, tmp_path):
    path = trained / "checkpoints" / "last.ckpt"
    content = read_checkpoint(path)
    content["config"]["model"]["prior"] = {"_target_": "os.system", "command": f"touch {tmp_path}/called"}
    torch.save(content, path)
    with pytest.raises(UsageError, match=r"model.prior._target_ names os.system"):
        package.load(path)
    assert not (tmp_path / "called").exists()


def start(tmp_path, *arguments):
    environment = {**os.environ, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lsgen.cli", "train", *arguments]
    return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(condition, process, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


def test_config_is_frozen_before_torch_is_imported_and_a_kill_then_loses_nothing(tmp_path, monkeypatch, small):
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "trap"))
    process = start(tmp_path, *small, "run_dir=run")
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    run = RunDirectory.open(tmp_path / "run")
    assert run.config()["model"]["max_steps"] == 6
    assert run.provenance()["packages"]["torch"]
    monkeypatch.delenv("PYTHONPATH")
    process = start(tmp_path, "resume=run")
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert run.status()["generator_steps"] == 6


def test_ctrl_c_saves_and_returns_130(tmp_path, small):
    endless = [argument for argument in small if not argument.startswith("model.max_steps")]
    process = start(tmp_path, *endless, "model.max_steps=null", "run_dir=run")
    run = RunDirectory(tmp_path / "run")
    wait_for(lambda: run.metrics_file.exists() and run.metrics_file.read_text().count("\n") > 3, process)
    second = start(tmp_path, "resume=run")
    out, err = second.communicate(timeout=120)
    assert second.returncode == 2
    assert b"is being trained by process" in err
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert b"stopped  by Ctrl-C after" in out
    assert b"continue lsgen train resume=run" in out
    status = run.status()
    assert status["state"] == "interrupted"
    assert read_checkpoint(run.checkpoint())["clocks"]["generator_steps"] == status["generator_steps"] > 0


def test_two_processes_share_one_run_in_a_sweep_too(tmp_path, small):
    arguments = ("-m", *small, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "seed=0,1", "sweep_dir=s")
    process = start(tmp_path, *arguments)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    runs = runs_of(tmp_path / "s")
    assert [run.status()["state"] for run in runs] == ["finished", "finished"]
    for run in runs:
        assert read_checkpoint(run.checkpoint())["clocks"]["generator_steps"] == 6
        assert run.metrics_file.read_text().startswith("step,")


def test_the_checkouts_own_configs_are_not_taken_for_the_users(lsgen, tmp_path, monkeypatch):
    checkout = Path(package.__file__).parents[1]
    if not (checkout / "conf" / "train.yaml").exists():
        pytest.skip("lsgen runs from a wheel, which has no checkout")
    monkeypatch.chdir(checkout)
    assert lsgen("train", "--info", "searchpath").out.count("lsgen.conf") == 1
    assert "lsgen-user" not in lsgen("train", "--info", "searchpath").out
    (tmp_path / "conf").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "lsgen-user" in lsgen("train", "--info", "searchpath").out


def test_loading_keeps_an_averaged_generator_apart(lsgen, tmp_path):
    small = ("model.max_steps=6", "data.batch_size=32", "logger=csv", "report=false", "test=false", "trainer=debug")
    choices = ("data=toy", "model=gan", "callbacks=gan_ema", "~callbacks.traversal", "~callbacks.samples")
    outcome = lsgen("train", *choices, *small, "trainer.max_epochs=2", "run_dir=gan")
    assert outcome.code == 0, outcome.err
    weights = read_checkpoint("gan/checkpoints/last.ckpt")["state_dict"]
    averaged = {name: weight for name, weight in weights.items() if name.startswith("latent_space.decoder.generator")}
    raw = [weights[name.removeprefix("latent_space.decoder.")] for name in averaged]
    assert any(not torch.equal(one, other) for one, other in zip(averaged.values(), raw, strict=True))
    state = package.load("gan").state_dict()
    assert all(torch.equal(weight, state[name]) for name, weight in averaged.items())


def test_a_run_without_callbacks_keeps_its_weights_and_resumes_exactly(lsgen, small, tmp_path):
    bare = [argument for argument in small if not argument.startswith("model.max_steps")] + ["callbacks=none"]
    outcome = lsgen("train", *bare, "model.max_steps=6", "run_dir=whole")
    assert outcome.code == 0, outcome.err
    assert "weights  whole/checkpoints/last.ckpt" in outcome.out
    assert outcome.out.count("┏") == outcome.out.count("│ loss") == 1, "one table, of what the model logs by itself"
    assert lsgen("train", *bare, "model.max_steps=4", "run_dir=parts").code == 0
    assert lsgen("train", "resume=parts", "model.max_steps=6").code == 0
    whole, parts = (read_checkpoint(RunDirectory(place).checkpoint())["state_dict"] for place in ("whole", "parts"))
    assert all(torch.equal(weight, parts[name]) for name, weight in whole.items())
    assert package.load("whole").generator_steps == 6


def test_a_run_that_was_told_to_keeps_nothing_and_says_so(lsgen, small):
    outcome = lsgen("train", *small, "callbacks=none", "+trainer.enable_checkpointing=false", "run_dir=bare")
    assert outcome.code == 0, outcome.err
    assert not Path("bare/checkpoints").exists()
    assert "weights  none kept: trainer.enable_checkpointing is false" in outcome.out


def test_a_table_that_no_terminal_limits_breaks_no_word(lsgen, trained, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    columns = "callbacks.checkpoint._target_,data._target_,model._target_,trainer._target_,model.decoder._target_"
    out = lsgen("table", str(trained), "--columns", columns).out
    assert all(word in out for word in (str(trained), *columns.split(","), "lsgen.callbacks.Checkpoint"))


def test_a_terminal_without_utf_8_gets_what_it_can_show(trained):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "lsgen.cli", "evaluate", str(trained)], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "reconstruction, ?log p(x|z)" in done.stdout.decode("ascii")


def test_evaluate_repeats_what_callbacks_found_in_samples(lsgen, small):
    pixels = "extractor: {_target_: lsgen.metrics.quality.Pixels, shape: [1, 8, 8]}"
    tests = (
        f"+callbacks.tests={{_target_: lsgen.callbacks.TwoSampleTests, n: 60, bins: 4, classifiers: [knn], {pixels}}}"
    )
    copies = f"+callbacks.copies={{_target_: lsgen.callbacks.Memorisation, n: 60, cells: 2, {pixels}}}"
    assert lsgen("train", *small, tests, copies, "logger=csv", "run_dir=run").code == 0
    logged = {key: value for key, value in last_metrics(Path("run/metrics.csv")).items() if "/pixels/" in key}
    outcome = lsgen("evaluate", "run")
    assert outcome.code == 0, outcome.err
    assert "C2ST accuracy, knn" in outcome.out
    found = json.loads(Path("run/evaluation/last.json").read_text())["metrics"]
    assert {key: value for key, value in found.items() if "/pixels/" in key} == pytest.approx(logged)
    assert len(logged) >= 14
