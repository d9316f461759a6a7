"""What is in a checkpoint, and what happens to it when something goes wrong."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections import OrderedDict
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Callback

from lsgen.callbacks import AtomicCheckpointIO, Checkpoint, NonFiniteError, newest_checkpoint, read_checkpoint
from lsgen.callbacks.engine.checkpoint_io import plain, require_place
from lsgen.runs import RunError


def _save(folder: Path, *names: str) -> AtomicCheckpointIO:
    io = AtomicCheckpointIO()
    for number, name in enumerate(names):
        io.save_checkpoint({"number": number, "weights": torch.arange(1000) + number}, folder / name)
    return io


def _damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_the_file_before_is_kept(tmp_path: Path) -> None:
    """last.ckpt becomes previous.ckpt, whose content is that of the save before."""
    _save(tmp_path, "last.ckpt", "last.ckpt", "last.ckpt")
    assert read_checkpoint(tmp_path / "last.ckpt")["number"] == 2
    assert read_checkpoint(tmp_path / "previous.ckpt")["number"] == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_a_damaged_file_falls_back_to_the_one_before(tmp_path: Path, harm: str) -> None:
    """With a warning that names both; the next save does not put the damaged one in the place of the good one."""
    folder = tmp_path / "checkpoints"
    _save(folder, "last.ckpt", "last.ckpt")
    last = folder / "last.ckpt"
    if harm == "flip":
        _damage(last)
    else:
        os.truncate(last, last.stat().st_size // 2 if harm == "cut" else 0)
    words = r"last\.ckpt, got a damaged file: cut short or overwritten; continuing from previous\.ckpt"
    with pytest.warns(UserWarning, match=words):
        newest = newest_checkpoint(tmp_path)
    assert newest == folder / "previous.ckpt"
    io = AtomicCheckpointIO()
    io.load_checkpoint(newest)
    io.save_checkpoint({"number": 7}, last)
    assert [read_checkpoint(folder / name)["number"] for name in ("last.ckpt", "previous.ckpt")] == [7, 0]


def test_no_checkpoint_and_no_readable_checkpoint(tmp_path: Path) -> None:
    """None means a fresh start; checkpoints that cannot be read never do."""
    assert newest_checkpoint(tmp_path) is None
    _save(tmp_path / "checkpoints", "last.ckpt")
    _damage(tmp_path / "checkpoints" / "last.ckpt")
    with pytest.raises(RunError, match=r"no checkpoint of .* can be read"):
        newest_checkpoint(tmp_path)
    with pytest.raises(RunError, match=r"expected a checkpoint at .*, got no such file"):
        read_checkpoint(tmp_path / "none.ckpt")


def test_a_missing_last_file_is_found_as_previous(tmp_path: Path) -> None:
    """A kill between two renames leaves previous.ckpt alone."""
    _save(tmp_path / "checkpoints", "last.ckpt", "last.ckpt")
    (tmp_path / "checkpoints" / "last.ckpt").unlink()
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.name == "previous.ckpt"


def test_duplicate_where_links_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are the same either way."""
    io = _save(tmp_path, "best.ckpt")
    io.duplicate(tmp_path / "best.ckpt", tmp_path / "linked.ckpt")

    def refuse(*args: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    io.duplicate(tmp_path / "best.ckpt", tmp_path / "copied.ckpt")
    files = [(tmp_path / name).read_bytes() for name in ("best.ckpt", "linked.ckpt", "copied.ckpt")]
    assert files[0] == files[1] == files[2]


def test_plain_keeps_values_and_refuses_objects() -> None:
    """Numpy scalars and paths become plain; anything else is refused with the place where it is."""
    state = OrderedDict(weight=torch.ones(2))
    vars(state)["_metadata"] = {"": {"version": 2}}
    given = {"a": [1, (2.0, None)], "state": state, "n": np.float64(0.1), "p": Path("x"), "s": np.str_("t")}
    result = plain(given)
    assert result == {"a": [1, (2.0, None)], "state": state, "n": 0.1, "p": "x", "s": "t"}
    assert [type(result[key]) for key in ("n", "p", "s")] == [float, str, str]
    assert vars(result["state"]) == vars(state)
    with pytest.raises(TypeError, match=r"plain containers in a checkpoint, got functools\.partial at .*\['x'\]\[1\]"):
        plain({"x": [0, partial(print)]})


@pytest.mark.slow
def test_contents_of_a_run(engine: ModuleType, tmp_path: Path) -> None:
    """Readable without running code; config, clocks and the best score are in it; best.ckpt is the best one."""
    config = {"seed": 0, "model": {"dim": 3, "hidden": [16]}}

    class Configured(Callback):
        def setup(self, trainer: Any, module: Any, stage: str) -> None:
            trainer.checkpoint_callback.config = config

    trainer = engine.fit(tmp_path, extra=[Configured()])
    for name in ("last.ckpt", "previous.ckpt", "best.ckpt"):
        content = torch.load(tmp_path / "checkpoints" / name, weights_only=True)
        assert content["config"] == config
    assert engine.load(tmp_path)["clocks"] == {"generator_steps": 65, "images_seen": 3 * 1257 + 5 * 64}
    elbo = {int(row["step"]): float(row["val/elbo"]) for row in engine.rows(tmp_path) if "val/elbo" in row}
    assert len(elbo) == 4
    best = max(elbo, key=lambda step: elbo[step])
    assert engine.load(tmp_path, "best.ckpt")["clocks"]["generator_steps"] == best
    assert trainer.checkpoint_callback.best_score == pytest.approx(elbo[best], rel=1e-6)
    assert trainer.checkpoint_callback.best_model_path == str(tmp_path / "checkpoints" / "best.ckpt")


@pytest.mark.slow
def test_a_full_disk(engine: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One sentence that says what could not be written and what is kept; the good checkpoint stays good."""

    class Fill(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, *args: Any) -> None:
            if module.generator_steps == 10:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    def train() -> None:
        with pytest.raises(RunError) as failure:
            engine.fit(tmp_path, extra=[Fill()])
        print("SENTENCE:", failure.value)

    assert engine.in_child(train) == 0
    sentence = capfd.readouterr().out.split("SENTENCE: ")[1]
    assert "could not write the checkpoint" in sentence
    assert "MB): File too large; last.ckpt from before is kept" in sentence
    assert engine.load(tmp_path)["clocks"]["generator_steps"] == 7
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.slow
def test_weights_that_are_not_finite_are_not_saved(engine: ModuleType, tmp_path: Path) -> None:
    """A weight without influence on the loss goes unnoticed until it would be saved."""

    class Spoil(Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            module.unused = torch.nn.Parameter(torch.zeros(2))

        def on_train_batch_start(self, trainer: Any, module: Any, *args: Any) -> None:
            if module.generator_steps == 10:
                module.unused.data[1] = float("nan")

    with pytest.raises(
        NonFiniteError, match=r"after 14 generator steps: the weights unused are not finite, .* 7 is kept"
    ):
        engine.fit(tmp_path, extra=[Spoil()])
    assert engine.load(tmp_path)["clocks"]["generator_steps"] == 7


@pytest.mark.slow
def test_what_cannot_be_saved_is_refused_before_any_step(engine: ModuleType, tmp_path: Path) -> None:
    """Not at the first checkpoint, when work would be lost."""

    class Odd(Callback):
        steps = 0

        def state_dict(self) -> dict[str, Any]:
            return {"function": partial(print)}

        def on_train_batch_start(self, *args: Any) -> None:
            self.steps += 1

    odd = Odd()
    with pytest.raises(
        TypeError, match=r"got functools\.partial at checkpoint\['callbacks'\]\['.*Odd'\]\['function'\]"
    ):
        engine.fit(tmp_path, extra=[odd])
    assert odd.steps == 0
    with pytest.raises(ValueError, match=r"expected no other checkpoint plugin beside Checkpoint, got Other"):
        engine.fit(tmp_path, plugins=[type("Other", (TorchCheckpointIO,), {})()])


def test_a_place_where_nothing_can_be_saved_is_refused_before_any_step(engine: ModuleType, tmp_path: Path) -> None:
    """Not at the first checkpoint, when an epoch would be lost."""
    file, sentence = tmp_path / "checkpoints", "expected a directory to save checkpoints in at .*, got a file at "
    file.write_text("")
    with pytest.raises(RunError, match=f"{sentence}{file}"):
        engine.fit(tmp_path, max_steps=3)
    with pytest.raises(RunError, match=f"{sentence}{file}"):
        require_place(file / "deeper" / "checkpoints")
    require_place(tmp_path / "new" / "checkpoints")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_an_unknown_monitor(engine: ModuleType, tmp_path: Path) -> None:
    """The sentence lists what there is."""
    with pytest.raises(ValueError, match=r"expected monitor = 'val/nothing' among .*, got .*val/elbo"):
        engine.fit(tmp_path, monitor="val/nothing")


@pytest.mark.parametrize("wrong", [{"every_n_steps": 0}, {"every_n_minutes": -1.0}, {"every_n_epochs": 0}])
def test_cadences_are_positive(wrong: dict[str, Any]) -> None:
    """The sentence names the option."""
    with pytest.raises(ValueError, match=f"expected {next(iter(wrong))} above 0"):
        Checkpoint(**wrong)
    with pytest.raises(ValueError, match="expected mode max or min, got 'best'"):
        Checkpoint(mode="best")
