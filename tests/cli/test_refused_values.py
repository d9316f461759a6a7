"""Values and types that are refused before work starts, against the sentences that say so."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
import torch

from lsgen.cli.config.annotations import check_values
from lsgen.cli.config.construction import verify
from lsgen.cli.errors import UsageError

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
def test_values_that_are_refused_before_a_directory_is_made(override, sentence, lsgen, small, tmp_path, refused):
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
def test_what_lightning_and_torch_refuse(overrides, sentence, lsgen, small, tmp_path, refused):
    refused(lsgen("train", *small, *overrides), tmp_path, sentence)


def test_a_refused_run_leaves_what_was_there(lsgen, small, tmp_path):
    (tmp_path / "a").mkdir()
    assert lsgen("train", *small, "run_dir=a/b/c", "trainer.devices=-3").code == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


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
        ("data.shape=8", "expected data.shape to be a list of whole numbers or null, got 8: write [8]"),
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
def test_types_are_told(override, sentence, changed):
    with pytest.raises(UsageError) as told:
        verify(changed(override))
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
