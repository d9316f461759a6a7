"""Data without a batch, in every split that a run will use, are refused before its first step."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lsgen.callbacks import (
    Checkpoint,
    HeldOutCheck,
    NearestNeighbours,
    RealSet,
    Reconstructions,
    SampleComparison,
    check_split,
)
from lsgen.data import Digits, Loading
from lsgen.metrics.quality import DatasetClassifier

CLASSIFIER = DatasetClassifier((1, 8, 8))


class Images(LightningDataModule):
    """A data module of somebody else's, with as many images in each split as is asked."""

    def __init__(self, train: int = 8, val: int = 8, test: int = 8, **options: Any) -> None:
        super().__init__()
        self.sizes, self.options = {"train": train, "val": val, "test": test}, options

    def _loader(self, split: str) -> DataLoader[Any]:
        torch.rand(3)  # whoever shuffles draws
        x = (torch.arange(self.sizes[split] * 64).reshape(-1, 1, 8, 8) % 2).float()
        return DataLoader(TensorDataset(x), **{"batch_size": 4, **self.options})

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader("test")


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        while True:
            yield torch.zeros(1, 8, 8)


def _fit(engine: ModuleType, run_dir: Path, data: LightningDataModule, *callbacks: Callback, **options: Any) -> Any:
    """Train for four steps and return the model, whether or not that was refused."""
    model = engine.build(4)
    defaults = {"max_epochs": -1, "accelerator": "cpu", "devices": 1, "logger": False, "num_sanity_val_steps": 0}
    switches = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    if any(isinstance(callback, Checkpoint) for callback in callbacks):
        switches["enable_checkpointing"] = True
    trainer = Trainer(default_root_dir=run_dir, callbacks=list(callbacks), **{**defaults, **switches, **options})
    try:
        trainer.fit(model, data)
    except ValueError as error:
        assert model.generator_steps == 0
        assert not list(run_dir.rglob("*.ckpt"))
        raise error
    return model


@pytest.mark.parametrize("epochs", [1, 10, None])
@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_an_empty_validation_however_far_ahead(
    engine: ModuleType, tmp_path: Path, epochs: int | None, with_checkpoint: bool
) -> None:
    """The first validation may be many epochs away."""
    often: dict[str, Any] = {"check_val_every_n_epoch": epochs, "val_check_interval": 3 if epochs is None else 1.0}
    callbacks = [Checkpoint()] if with_checkpoint else []
    with pytest.raises(ValueError, match=r"one batch in every validation loader, got 0: .*limit_val_batches=0"):
        _fit(engine, tmp_path, Images(val=0), *callbacks, **often)
    with pytest.raises(ValueError, match="every validation loader, got 0"):
        _fit(engine, tmp_path, Images(train=16, val=3, drop_last=True), *callbacks, **often)
    with pytest.raises(ValueError, match="Digits expected at least one observation in the val split, got none"):
        _fit(engine, tmp_path, Digits(val_size=0), *callbacks, **often)
    assert _fit(engine, tmp_path, Images(val=0), *callbacks, limit_val_batches=0).generator_steps == 4


def test_nothing_to_train_on(engine: ModuleType, tmp_path: Path) -> None:
    """Lightning alone says nothing and ends as if it had trained."""
    with pytest.raises(ValueError, match="ELBO expected at least one batch to train on, got none"):
        _fit(engine, tmp_path, Images(train=0))
    with pytest.raises(ValueError, match="to train on, got none"):
        _fit(engine, tmp_path, Images(train=3, drop_last=True))
    with pytest.raises(ValueError, match=r"at least 5000 .* for batch_size 5000 .*, got 1257: .*drop_last=False"):
        _fit(engine, tmp_path, Digits(batch_size=5000, loading=Loading(drop_last=True)))


class NoValidation(Images):
    val_dataloader = LightningDataModule.val_dataloader


def test_a_monitored_value_that_no_validation_will_give(engine: ModuleType, tmp_path: Path) -> None:
    """There would be no best checkpoint."""
    with pytest.raises(ValueError, match=r"validations, whose val/elbo decides on best.ckpt, got none: .*null"):
        _fit(engine, tmp_path, Images(), Checkpoint(monitor="val/elbo"), limit_val_batches=0)
    automatic = Checkpoint(monitor="auto")
    with pytest.raises(ValueError, match="validations, whose val/elbo decides"):
        _fit(engine, tmp_path, Images(), automatic, limit_val_batches=0)
    assert _fit(engine, tmp_path, NoValidation(), automatic).generator_steps == 4  # data that have none at all
    assert not list(tmp_path.rglob("best.ckpt"))
    assert list(tmp_path.rglob("last.ckpt"))


class NoTest(Images):
    test_dataloader = LightningDataModule.test_dataloader


@pytest.mark.parametrize(
    ("data", "limits", "words"),
    [
        (Images(test=0), {}, "at least one batch in the test set of Images, got none"),
        (Images(test=3, drop_last=True), {}, "at least one batch in the test set of Images, got none"),
        (Images(), {"limit_test_batches": 0}, "limit_test_batches above 0, got 0"),
        (
            Images(),
            {"limit_test_batches": 0.1},
            "limit_test_batches to leave a batch of the 2 .*, got 0.1",
        ),
        (NoTest(), {}, "a test set, and NoTest has no test_dataloader"),
        (
            Digits(test_size=0.0),
            {},
            "Digits expected at least one observation in the test split, got none",
        ),
    ],
)
def test_a_test_set_for_later(
    engine: ModuleType, tmp_path: Path, data: LightningDataModule, limits: dict[str, Any], words: str
) -> None:
    """Where a run is to be tested when it is trained; what is not to be used may be empty."""
    with pytest.raises(ValueError, match=f"{words}.*; test=false trains without"):
        _fit(engine, tmp_path, data, HeldOutCheck(), **limits)
    assert _fit(engine, tmp_path, data, **limits).generator_steps == 4


def test_a_model_that_cannot_be_tested(tmp_path: Path) -> None:
    """It has no step for it."""

    class Foreign(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.generator_steps = torch.nn.Parameter(torch.ones(1)), 0

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            self.generator_steps += 1
            return self.weight.sum()

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            pass

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    foreign = type("Foreign", (), {"build": lambda steps: Foreign()})
    with pytest.raises(ValueError, match="Foreign has no test_step to be measured with; test=false"):
        _fit(foreign, tmp_path, Images(), HeldOutCheck(), max_epochs=1)  # type: ignore[arg-type]


def test_looking_ahead_changes_no_random_number(engine: ModuleType, tmp_path: Path) -> None:
    """A loader that draws when it is made, and one that has no end."""
    models = [_fit(engine, tmp_path, Images(), *check) for check in ([], [HeldOutCheck()])]
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)

    data = Images()
    data.test_dataloader = lambda: DataLoader(Endless(), batch_size=4)  # type: ignore[method-assign]
    check_split(data, "test", 3)


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (SampleComparison(CLASSIFIER, real=RealSet(split="val")), "at least 1 observations in the val split, got 0"),
        (SampleComparison(CLASSIFIER, real=RealSet(n=1438)), "at least 1438 observations in the train split, got 1437"),
        (NearestNeighbours(CLASSIFIER), "at least 1 observations in the val split, got 0"),
    ],
)  # fmt: skip
def test_callbacks_that_need_a_split(engine: ModuleType, tmp_path: Path, callback: Callback, words: str) -> None:
    """They look at it in their first turn, which may be the end of training."""
    with pytest.raises(ValueError, match=words):
        _fit(engine, tmp_path, Digits(val_size=0), callback, limit_val_batches=0)


def test_reconstructions_are_of_the_training_data_where_nothing_is_held_out(engine: ModuleType, tmp_path: Path) -> None:
    _fit(engine, tmp_path, Digits(val_size=0), Reconstructions(n=4), limit_val_batches=0)
    assert list((tmp_path / "figures" / "reconstruction" / "grid").glob("*.png"))
