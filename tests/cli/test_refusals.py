"""What libraries refuse, and what breaks: who is at fault, in one sentence, with nothing left behind."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from lsgen.callbacks import WandbLabels, WandbLogger
from lsgen.cli.application import compose_and_run
from lsgen.cli.config.annotations import check_values
from lsgen.cli.config.build import instantiate, verify
from lsgen.cli.config.freeze import thaw
from lsgen.cli.config.monitors import check_monitors
from lsgen.cli.config.prepare import prepare
from lsgen.cli.config.rehearsal import rehearse, rehearse_weights
from lsgen.cli.errors import UsageError
from lsgen.cli.refusals.explain import explanation, own_sentence
from lsgen.models.schedules import Linear, Schedule
from lsgen.runs.keys import watchable

PLAIN = ("experiment=vae_digits", "callbacks=engine", "logger=csv")
OWN = b"# @package _global_\ndefaults:\n  - vae_digits\n  - _self_\n"


def refused(outcome, tmp_path, *parts):
    """Check exit code 2, one sentence with the given parts, no traceback, and that no run is left."""
    assert outcome.code == 2, outcome.err
    said = [line for line in outcome.err.splitlines() if not line.startswith("warning: ")]
    assert len(said) == 1, outcome.err
    assert said[0].startswith("lsgen: ")
    for part in parts:
        assert part in said[0]
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Return the frozen config of a small run."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("config"))
        compose_and_run(PLAIN, "sweep", lambda composed: found.append(prepare(composed, None).config))
    return found[0]


def changed(config, *overrides):
    """Return a frozen config on this machine after changes that Hydra's grammar reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSGEN_RUN_DIR", "run")
        found = thaw(config)
    for one in OverridesParser.create().parse_overrides(list(overrides)):
        OmegaConf.update(found, one.key_or_group, one.value(), merge=False, force_add=True)
    return found


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"data:\n\tbatch_size: 32\n", "own.yaml, line 6, column 1: found a tab where yaml indents by spaces"),
        (b"data: {batch_size: 32}\ndata: {seed: 1}\n", "own.yaml, line 6, column 1: found duplicate key data"),
        (b"run: {name: a: b}\n", "own.yaml, line 5, column 14: expected ',' or '}'"),
        (b"run: {name: 'a}\n", "own.yaml, line 6, column 1: found unexpected end of stream"),
        (b"run: *x\n", "own.yaml, line 5, column 6: found undefined alias 'x'"),
        (b"run: !!python/object:os.system {}\n", "own.yaml, line 5, column 6: could not determine a constructor"),
        (b"run: {name: \x00}\n", "own.yaml: special characters are not allowed"),
        (b"run: {name: caf\xe9}\n", r"own.yaml, line 5: expected text in UTF-8, got the byte b'\xe9'"),
    ],
)
def test_a_config_that_is_no_yaml(body, sentence, lsgen, tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "own.yaml").write_bytes(OWN + body)
    refused(lsgen("train", "--cfg", "job", "experiment=own"), tmp_path, str(tmp_path / "conf"), sentence)


BOM = "own.yaml begins with a byte order mark (BOM): save it as UTF-8 without BOM"
PACKAGE = "own.yaml: expected '# @package _global_' as its first line"


@pytest.mark.parametrize(
    ("group", "content", "sentence"),
    [
        ("experiment", b"\xef\xbb\xbf" + OWN, BOM),
        ("experiment", OWN.decode().encode("utf-16"), BOM),
        ("experiment", b"seed: 3\n", PACKAGE),
        ("experiment", b"defaults: [override /data: toy]\n", PACKAGE),
        ("experiment", b"# mine\n" + OWN + b"seed: 3\n", PACKAGE),
        ("net", b"encoder: {hidden: [3]}\n", "own.yaml: expected '# @package model' as its first line"),
        ("experiment", b"# @package\nseed: 3\n", "own.yaml: Expected header format: KEY VALUE"),
        ("experiment", b"# @package _global_\n- a\n", "own.yaml: expected a mapping of keys to values, got a list"),
        ("experiment", b"# @package _global_\ndefaults: [own]\n", "a config may not include itself"),
        ("experiment", b"3\n", "own.yaml: expected a mapping of keys to values, got something else"),
        ("experiment", b"# @package _global_\nnull: 3\n", "own.yaml: Incompatible key type 'NoneType'"),
    ],
)
@pytest.mark.parametrize("where", ["conf", "elsewhere"])
def test_a_config_that_would_be_misread(group, content, sentence, where, lsgen, tmp_path):
    (tmp_path / where / group).mkdir(parents=True)
    (tmp_path / where / group / "own.yaml").write_bytes(content)
    flag = [] if where == "conf" else ["--config-dir", where]
    refused(lsgen("train", *flag, f"{group}=own", "--cfg", "job"), tmp_path, sentence)


def test_configs_that_hydra_reads_rightly_are_read(lsgen, tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "data").mkdir()
    (tmp_path / "conf" / "experiment" / "own.yaml").write_bytes(b"\n\n" + OWN + "run: {name: é}\n".encode())
    (tmp_path / "conf" / "experiment" / "same.yaml").write_text("defaults: [vae_digits]\n")
    (tmp_path / "conf" / "data" / "own.yaml").write_text("_target_: lsgen.data.Digits\nseed: 7\n")
    assert "name: é" in lsgen("train", "--cfg", "job", "experiment=own").out
    assert "seed: 7" in lsgen("train", "--cfg", "job", "data=own").out
    assert "lsgen.data.Digits" in lsgen("train", "--cfg", "job", "experiment=same").out


SEED = "expected seed to be a whole number from 0 to 4294967295 (2^32 - 1), got "


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        *((f"seed={seed}", SEED) for seed in ("4294967296", "99999999999", "-1", "1.5", "1e3", "true", "abc", "[1]")),
        ("seed=???", "Missing mandatory value: seed"),
        ("seed=a,b,", "cannot read the argument 'seed=a,b,': mismatched input"),
        ("a b=3", "cannot read the argument 'a b=3': expected KEY=VALUE as Hydra writes"),
        ("trainer.num_nodes=null", "expected trainer.num_nodes to be a whole number (int), got null"),
        ("+trainer.callbacks=[]", "trainer.callbacks: the trainer gets what stands in callbacks: name it there"),
        ("+trainer.logger=true", "trainer.logger: the trainer gets what stands in logger"),
        ("callbacks=null", "expected callbacks to be one of "),
        ("logger=null", "got null: `logger=none` is for none of them"),
        ("model=null", "expected model to be one of "),
        ("data=null", "expected data to be one of "),
        ("run=null", "run: expected a mapping with name, id, group and tags, got None"),
        ("test=maybe", "expected test to be true or false, got 'maybe'"),
        ("report=3", "expected report to be true or false, got 3"),
        ("trainer.accumulate_grad_batches=0", "expected trainer.accumulate_grad_batches of at least 1, got 0"),
        ("trainer.check_val_every_n_epoch=0", "expected trainer.check_val_every_n_epoch of at least 1, got 0"),
        ("trainer.gradient_clip_val=-1", "expected trainer.gradient_clip_val of at least 0, got -1"),
        ("+trainer.strategy=ddp_spawn", "expected a trainer.strategy whose processes start lsgen again, such as ddp"),
        ("trainer.val_check_interval=0", "expected trainer.val_check_interval above 0"),
    ],
)
def test_values_that_are_refused_before_a_directory_is_made(override, sentence, lsgen, small, tmp_path):
    refused(lsgen("train", *small, override), tmp_path, sentence)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["trainer.precision=abacus"], "expected trainer.precision to be 64, 32, 16, "),
        (["+trainer.strategy=abacus"], "trainer: "),
        (["trainer.devices=-3"], "trainer: `devices` selected with `CPUAccelerator` should be an int > 0"),
        (["trainer.val_check_interval=1000000"], "must be less than or equal to the number of the training batches"),
        (["model.optimizer.lr=-1"], "model.optimizer: Invalid learning rate: -1"),
    ],
)
def test_what_lightning_and_torch_refuse(overrides, sentence, lsgen, small, tmp_path):
    refused(lsgen("train", *small, *overrides), tmp_path, sentence)


def test_a_refused_run_leaves_what_was_there(lsgen, small, tmp_path):
    (tmp_path / "a").mkdir()
    assert lsgen("train", *small, "run_dir=a/b/c", "trainer.devices=-3").code == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


FAULTS = """
import torch
class Broken:
    def __init__(self, how="own"):
        if how == "own":
            raise KeyError("width")
        if how == "library":
            torch.zeros(-1)
        self.missing
    def __call__(self, step):
        return {}["x"]
"""


@pytest.mark.parametrize(
    ("how", "sentence"),
    [("own", "KeyError: 'width'"), ("library", "RuntimeError: "), ("attribute", "AttributeError: 'Broken' object")],
)
def test_a_mistake_in_the_users_class_is_told_with_its_place(how, sentence, tmp_path, monkeypatch):
    (tmp_path / f"faults_{how}.py").write_text(FAULTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LSGEN_TARGETS", f"faults_{how}")
    part = thaw({"model": {"a": {"_target_": f"faults_{how}.Broken", "how": how}, "_target_": "builtins.dict"}}).model
    line = {"own": 6, "library": 8, "attribute": 9}[how]
    with pytest.raises(UsageError, match=rf"^model.a: {sentence}.*faults_{how}.py, line {line}, in __init__\)$"):
        instantiate(part, "model")


def raised(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is looked at)
        return error
    raise AssertionError("nothing was raised")


def test_programming_errors_of_lsgen_have_no_sentence():
    from lsgen.nn import MLPEncoder

    module = import_module("lsgen.data.splits")
    for error in (
        raised(MLPEncoder.forward, None, torch.zeros(1)),  # an attribute that None does not have
        raised(module.random_split, 10, None, 0),
    ):
        assert explanation(error) is None
        assert own_sentence(error) is None


def test_what_is_written_down_in_lsgen_is_a_sentence_and_libraries_are_quoted():
    from lsgen.latent import StandardNormal

    assert explanation(raised(StandardNormal, 0)) == own_sentence(raised(StandardNormal, 0))
    decoded = raised(json.loads, "{")
    assert own_sentence(decoded) is None
    assert explanation(decoded, place="data").startswith("data: JSONDecodeError: ")
    missing = raised(subprocess.check_output, ["/nothing/there"])
    assert own_sentence(missing) == "cannot read or write /nothing/there: No such file or directory"


def test_a_programming_error_shows_its_traceback(lsgen, small, monkeypatch):
    monkeypatch.setattr("lsgen.cli.task._checkpoint", None)
    outcome = lsgen("train", *small)
    assert outcome.code == 1
    assert "Traceback" in outcome.err


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.batch_size=1e2", "expected data.batch_size to be a whole number (int), got 100.0 (float): write 100"),
        ("data.batch_size=true", "expected data.batch_size to be a whole number (int), got true"),
        ("data.batch_size=null", "expected data.batch_size to be a whole number (int), got null"),
        ("data.batch_size='32'", "expected data.batch_size to be a whole number (int), got '32'"),
        ("data.batch_size=[1]", "expected data.batch_size to be a whole number (int), got [1]"),
        ("data.loading.drop_last=0", "expected data.loading.drop_last to be true or false, got 0"),
        ("data.binarise=7", "expected data.binarise to be text, got 7: for text, write data.binarise=\"'7'\""),
        ("data.shape=8", "expected data.shape to be a list of whole numbers, got 8: write [8]"),
        (
            "data.missing=abc",
            "expected data.missing to be a number (float) or a mapping with _target_ (Missing), got 'abc'",
        ),
        (
            "model.encoder.hidden=128",
            "expected model.encoder.hidden to be a list of whole numbers, got 128: write [128]",
        ),
        (
            "model.encoder.hidden=[64,1.5]",
            "expected model.encoder.hidden[1] to be a whole number (int), got 1.5 (float)",
        ),
        ("model.encoder.hidden='64'", "expected model.encoder.hidden to be a list of whole numbers, got '64'"),
        ("model.decoder.dim=4.0", "expected model.decoder.dim to be a whole number (int), got 4.0 (float): write 4"),
        ("model.objective=3", "expected model.objective to be a mapping with _target_ (Objective), got 3"),
        (
            "model.objective.beta=true",
            "expected model.objective.beta to be a number (float) or a mapping with _target_",
        ),
        ("model.optimizer=3", "expected model.optimizer to be a mapping with _target_ (Callable) or null, got 3"),
        ("model.optimizer.lr=abc", "expected model.optimizer.lr to be a number (float), got 'abc'"),
        ("model.optimizer.betas=3", "expected model.optimizer.betas to be a list of 2 items, got 3"),
        ("model.optimizer.betas=[0.9]", "expected model.optimizer.betas to be a list of 2 items, got [0.9]"),
        ("trainer.devices=1.5", "expected trainer.devices to be a list of whole numbers, text or a whole number (int)"),
        ("callbacks.checkpoint.mode=3", "expected callbacks.checkpoint.mode to be text or null, got 3"),
    ],
)
def test_types_are_told(override, sentence, config):
    with pytest.raises(UsageError) as told:
        verify(changed(config, override))
    assert sentence in str(told.value)


class Takes:
    """Stands for a constructor."""

    def __init__(
        self,
        n: int = 1,
        x: "float" = 1.0,
        either: int | str | None = 0,
        word: Literal["a", "b", 3] = "a",
        pairs: Sequence[tuple[int, float]] = (),
        table: Mapping[str, int] | None = None,
        place: str | Path = "",
        unknown: "NotThere" = None,  # noqa: F821 (as a name that a type checker knows alone)
        late: int = None,  # noqa: RUF013 (as older libraries write it)
        act: torch.nn.Module = "relu",
        size: int = (3, 4),
        bias: torch.Tensor = ...,
        layers: torch.nn.ModuleList = ...,
        shape: torch.Size = ...,
        time: timedelta | str = ...,
        bare=0,
    ) -> None:
        """Take all."""


@pytest.mark.parametrize(
    "values",
    [
        {"n": 3, "x": 3, "either": None, "word": "b", "bare": object()},
        {"x": float("nan"), "either": "7", "word": 3, "table": {"a": 1}, "place": "a/b"},
        {"pairs": [[1, 2.0], [3, 4]], "unknown": 3, "late": None, "table": None},
        {"pairs": {"_target_": "anything.that.is.called"}},
        {"not_taken": 1},
        {"n": {"_target_": "torch.nn.functional.relu", "input": 3}, "word": {"_target_": "torch.nn.functional.relu"}},
        {"act": "tanh", "size": [1, 2], "late": {"_target_": "torch.nn.functional.relu"}},
        {"bias": [0.5, 1], "shape": [1, 2], "layers": [{"_target_": "torch.nn.SiLU"}]},
        {"bias": 0.5, "shape": {"_target_": "a.b"}, "time": "00:00:01:00"},
    ],
)
def test_what_annotations_admit(values):
    check_values("key", Takes, values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"n": True}, r"expected key.n to be a whole number \(int\), got true"),
        ({"x": False}, r"expected key.x to be a number \(float\), got false"),
        ({"x": None}, r"expected key.x to be a number \(float\), got null"),
        (
            {"either": 2.0},
            r"expected key.either to be a whole number \(int\), text or null, got 2.0 \(float\): write 2",
        ),
        ({"word": "c"}, "expected key.word to be 'a', 'b' or 3, got 'c'"),
        ({"word": 3.0}, "expected key.word to be"),
        ({"pairs": [[1, 2.0], [3.5, 4]]}, r"expected key.pairs\[1\]\[0\] to be a whole number \(int\), got 3.5"),
        ({"pairs": [[1, 2.0, 3]]}, r"expected key.pairs\[0\] to be a list of 2 items"),
        ({"pairs": "ab"}, "expected key.pairs to be a list, got 'ab'"),
        ({"table": [1]}, r"expected key.table to be a mapping or null, got \[1\]"),
        ({"place": 3}, "expected key.place to be text or a path, got 3"),
        ({"late": "a"}, "expected key.late to be a whole number"),
        ({"n": {"_target_": "torch.optim.Adam"}}, "expected key.n to be a whole number"),
        ({"n": {"_target_": "torch.nn.functional.relu", "_partial_": True}}, "expected key.n to be a whole number"),
        ({"bias": "abc"}, "expected key.bias to be a mapping with _target_"),
        ({"bias": True}, "expected key.bias to be a mapping with _target_"),
        ({"time": 3}, r"expected key.time to be a mapping with _target_ \(timedelta\) or text"),
        ({"size": "small"}, "expected key.size to be a whole number"),
    ],
)
def test_what_annotations_do_not_admit(values, sentence):
    with pytest.raises(UsageError, match=sentence):
        check_values("key", Takes, values)


def overrides_of(*texts):
    return OverridesParser.create().parse_overrides(list(texts))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a=tag(log,interval(0,16))", "expected a logarithmic interval above 0 for a, got a=tag"),
        ("a=tag(int,log,interval(0,4))", "expected a logarithmic interval above 0"),
        ("a=interval(8,1)", "expected an interval from a finite number up to another for a"),
        ("a=interval(1,inf)", "expected an interval from a finite number up to another for a"),
        ("a=interval(nan,1)", "expected an interval from a finite number up to another for a"),
        ("a=tag(int,interval(0.5,3))", "expected an interval of whole numbers for a under the tag int"),
        ("a=tag(half,interval(1,3))", "expected the tags log or int for a, got half"),
        ("a=tag(log,range(1,9))", "expected an interval for a under the tag log"),
        ("a=range(5,5)", "expected a range that holds a number for a"),
        ("a=range(1,5,-1)", "expected a range that holds a number for a"),
        ("a=range(1,5,0)", "expected a step other than 0"),
        ("a=glob(*)", "expected choice, range or interval for a"),
    ],
)
def test_what_a_search_cannot_draw(text, sentence):
    pytest.importorskip("optuna")
    from lsgen.cli.launchers.optuna_space import distribution

    with pytest.raises(UsageError) as told:
        distribution(*overrides_of(text))
    assert sentence in str(told.value)


def test_a_search_draws_the_numbers_that_hydra_makes_of_a_range():
    optuna = pytest.importorskip("optuna")
    from lsgen.cli.launchers.optuna_space import distribution

    for text in ("a=range(10,0,-2)", "a=range(1,9)", "a=range(0,10,3)", "a=range(-3,4,7)"):
        (one,) = overrides_of(text)
        drawn = distribution(one)
        assert isinstance(drawn, optuna.distributions.IntDistribution)
        assert set(range(drawn.low, drawn.high + 1, drawn.step)) == set(one.sweep_iterator())
    interval = distribution(*overrides_of("a=tag(log,interval(1,8))"))
    assert (interval.low, interval.high, interval.log) == (1, 8, True)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("hydra.sweeper.storage=sqlite:////proc/none/x.db", "unable to open database file"),
        ("hydra.sweeper.storage=abacus", "cannot keep the study in abacus (hydra.sweeper.storage): Could not parse"),
        ("hydra.sweeper.storage=sqlite:////etc/hostname", "(hydra.sweeper.storage): file is not a database"),
        ("hydra/launcher=basic", "expected hydra/launcher to be joblib, local, ray or slurm for hydra/sweeper=optuna"),
        ("hydra.sweeper.sampler=GridSampler", "hydra.sweeper.sampler=GridSampler with its sampler_options: "),
        ("+hydra.sweeper.sampler_options.foo=1", "got an unexpected keyword argument 'foo'"),
        ("hydra.sweeper.n_trials=1.5", "expected hydra.sweeper.n_trials to be a whole number (int), got 1.5 (float)"),
        ("hydra.sweeper.direction=up", "lsgen: expected hydra.sweeper.direction maximize or minimize, got 'up'"),
        ("hydra.sweeper.metric=val/elbow", "got 'val/elbow'; did you mean val/elbo?"),
        ("hydra.sweeper.metric=test/elbo", "expected hydra.sweeper.metric among what the run will log, val/loss, "),
    ],
)
def test_a_search_is_refused_before_its_first_trial(override, sentence, lsgen, small, tmp_path):
    pytest.importorskip("optuna")
    search = ("hydra/sweeper=optuna", "model.objective.beta=interval(1,2)", "sweep_dir=a/s")
    refused(lsgen("train", "-m", *small, *search, override), tmp_path, sentence)
    assert not (tmp_path / "a").exists()


def test_a_study_goes_one_way(lsgen, small, tmp_path):
    optuna = pytest.importorskip("optuna")
    storage = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(storage=storage, study_name="lsgen", direction="minimize")
    search = ("hydra/sweeper=optuna", "model.objective.beta=interval(1,2)", f"hydra.sweeper.storage={storage}")
    refused(lsgen("train", "-m", *small, *search), tmp_path, "expected hydra.sweeper.direction=minimize, which the")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("seed=range(5,5)", "expected a value to try for seed, got seed=range(5,5), which holds none"),
        ("seed=range(1,5,0)", "expected a step other than 0 for seed"),
        ("experiment=glob(nothing*)", "expected a value to try for experiment"),
        ("seed=interval(1,2)", "an interval has no grid: give seed values, or hydra/sweeper=optuna"),
    ],
)
def test_a_grid_of_nothing(override, sentence, lsgen, small, tmp_path):
    refused(lsgen("train", "-m", *small, "sweep_dir=s", override), tmp_path, sentence)
    assert not (tmp_path / "s").exists()


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
def test_a_value_that_nothing_logs_cannot_be_watched(overrides, sentence, lsgen, small, tmp_path):
    refused(lsgen("train", *small, *overrides), tmp_path, sentence)


def test_what_is_logged_can_be_watched(lsgen, small):
    stop = "+callbacks.stop={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/kl_dimension/03}"
    outcome = lsgen("train", *small, "callbacks.checkpoint.monitor=val/active_units", stop, "test=true")
    assert outcome.code == 0, outcome.err
    (status,) = Path.cwd().glob("runs/*/status.json")
    declared = [*watchable("LatentModel"), *watchable("LikelihoodMetrics")]
    for key in json.loads(status.read_text())["metrics"]:
        assert any(fnmatchcase(key, pattern) for pattern in declared), key


def test_games_log_no_bound(config):
    elbo = "callbacks.checkpoint.monitor=val/elbo"
    check_monitors(changed(config, elbo))
    check_monitors(changed(config, "model._target_=lsgen.models.gan.GAN"))
    with pytest.raises(UsageError, match=r"among what the run will log, val/loss, got 'val/elbo'"):
        check_monitors(changed(config, "model._target_=lsgen.models.gan.GAN", elbo))


def test_deterministic_codes_are_judged_by_their_loss(config):
    point = "+model.posterior={_target_: lsgen.latent.Deterministic}"
    check_monitors(changed(config, point, "~callbacks.metrics"))
    with pytest.raises(UsageError, match="among what the run will log, val/loss, got 'val/elbo'"):
        check_monitors(changed(config, "~callbacks.metrics"))


def test_a_model_of_the_user_may_log_anything(config, tmp_path, monkeypatch):
    (tmp_path / "own_model.py").write_text("from lsgen.models import VAE\nclass Own(VAE):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LSGEN_TARGETS", "own_model")
    check_monitors(changed(config, "model._target_=own_model.Own", "callbacks.checkpoint.monitor=own/score"))


SCHEDULERS = "torch.optim.lr_scheduler"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model.optimizer.lr=-1"], "model.optimizer: Invalid learning rate: -1"),
        (["model.optimizer.lr=nan"], "model.optimizer: Invalid learning rate: nan"),
        (["model.optimizer.lr=0"], "expected model.optimizer to have a learning rate above 0, got 0"),
        (["model.optimizer.betas=[2,2]"], "model.optimizer: Invalid beta parameter at index 0: 2"),
        (["+model.scheduler._target_=StepLR"], "model.scheduler: StepLR.__init__() missing 1 required positional"),
        (
            ["+model.scheduler={_target_: StepLR, step_size: 0}"],
            "integer modulo by zero (after generator step 1 of 40)",
        ),
        (
            ["+model.scheduler={_target_: OneCycleLR, max_lr: 0.1, total_steps: 30}"],
            "The specified number of total steps is 30 (after generator step 31 of 40)",
        ),
        (
            ["+model.scheduler={_target_: OneCycleLR, max_lr: 0.1}"],
            "model.scheduler: You must define either total_steps",
        ),
        (["+model.scheduler={_target_: ReduceLROnPlateau}"], "expected a schedule over generator steps"),
        (
            ["+model.scheduler={_target_: ExponentialLR, gamma: -1}"],
            "to keep the learning rate at 0 or above, got -0.001",
        ),
        (["+model.scheduler={_target_: ConstantLR, factor: 0, total_iters: 99}"], "a learning rate above 0, got 0"),
    ],
)
def test_schedules_are_rehearsed(overrides, sentence, config):
    written = [text.replace("_target_: ", f"_partial_: true, _target_: {SCHEDULERS}.") for text in overrides]
    if written[0].endswith("_target_=StepLR"):
        written = ["+model.scheduler={_partial_: true, _target_: " + f"{SCHEDULERS}.StepLR}}"]
    with pytest.raises(UsageError) as told:
        rehearse(changed(config, "model.max_steps=40", *written).model)
    assert sentence in str(told.value)


@pytest.mark.parametrize(
    "scheduler",
    [
        "OneCycleLR, max_lr: 0.1, total_steps: 40",
        "CosineAnnealingLR, T_max: 40",
        "LinearLR, start_factor: 0.01, total_iters: 10",
        "PolynomialLR, total_iters: 39",
    ],
)
def test_schedules_that_train_are_followed_to_their_end(scheduler, config):
    text = f"+model.scheduler={{_partial_: true, _target_: {SCHEDULERS}.{scheduler}}}"
    rehearse(changed(config, "model.max_steps=40", text).model)


class Wrong(Schedule):
    def __init__(self, wrong):
        self.wrong = wrong

    def __call__(self, step):
        return self.wrong if step >= 900 else 1.0


def test_weights_are_rehearsed():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1))
    model[0].beta = Linear(0, 4, steps=10)
    rehearse_weights(model, 1000)
    for wrong in (float("nan"), float("inf"), None, True, "1"):
        model[0].beta = Wrong(wrong)
        rehearse_weights(model, 899)
        with pytest.raises(UsageError, match=r"expected model.0.beta, the schedule Wrong, to give a finite number"):
            rehearse_weights(model, 1000)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"labels": WandbLabels(tags=["x" * 65])}, "Tags must be between 1 and 64 characters"),
        ({"labels": WandbLabels(tags=[""])}, "run_tags: Value error, Tag at index 0 is empty"),
        ({"labels": WandbLabels(id="a/b")}, "Run ID cannot contain the characters"),
        ({"project": "a/b"}, "Invalid project name 'a/b'"),
        ({"settings": {"abacus": 1}}, "abacus: Extra inputs are not permitted"),
        ({"project": ""}, "expected the name of a W&B project, got none"),
        ({"entity": "a/b"}, "in a W&B entity, got 'a/b'"),
        ({"labels": WandbLabels(group="g" * 129)}, "expected a W&B group of at most 128 characters, got 129"),
        ({"mode": "onlin"}, "expected a W&B mode among offline, online, disabled, got 'onlin'"),
    ],
)
def test_what_wandb_refuses(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    error = raised(lambda: WandbLogger(save_dir=tmp_path, **arguments).experiment)
    said = explanation(error, place="logger.wandb")
    assert said.startswith("logger.wandb: ")
    assert sentence in said
    assert "\n" not in said
    assert "pydantic.dev" not in said
