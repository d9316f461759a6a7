"""A run cut anywhere and resumed sees the batches that the uninterrupted run would have seen."""

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lsgen.data import Digits, Loading

EPOCHS = 3


class Recorder(LightningModule):
    """Train one number and write down every batch of training."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch["x"].clone(), batch["label"].clone()))
        return self.weight * batch["x"].mean()

    def validation_step(self, batch, batch_idx):
        torch.rand(3)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Cut(Exception):
    """The run ends here."""


class CutAt(Callback):
    """Save a checkpoint in one hook, at a given number of batches of training, and end the run."""

    def __init__(self, hook, batches, path):
        self.batches, self.path = batches, path
        setattr(self, hook, self._cut)

    def _cut(self, trainer, pl_module, *args):
        if len(pl_module.seen) >= self.batches and not trainer.sanity_checking:
            trainer.save_checkpoint(self.path)
            raise Cut


def data(workers=0, augment=None):
    # 1,797 - 1,497 = 300 images in batches of 64: five batches an epoch, the last one smaller.
    return Digits(
        batch_size=64,
        seed=3,
        val_size=97,
        test_size=1400,
        binarise="dynamic",
        loading=Loading(num_workers=workers, augment=augment),
    )


def trainer(tmp_path, *callbacks):
    return Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=tmp_path,
        callbacks=list(callbacks),
        num_sanity_val_steps=0,
    )


def cut_and_resume(tmp_path, hook, batches, workers, augment=None):
    whole = Recorder()
    trainer(tmp_path).fit(whole, data(0, augment))
    path = tmp_path / "cut.ckpt"
    first = Recorder()
    with pytest.raises(Cut):
        trainer(tmp_path, CutAt(hook, batches, path)).fit(first, data(workers, augment))
    torch.manual_seed(99)
    second = Recorder()
    trainer(tmp_path).fit(second, data(workers, augment), ckpt_path=path)
    return whole.seen, first.seen, second.seen


def same(a, b):
    return len(a) == len(b) and all(
        epoch == epoch_ and torch.equal(x, x_) and torch.equal(label, label_)
        for (epoch, x, label), (epoch_, x_, label_) in zip(a, b, strict=True)
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("hook", "batches"),
    [
        ("on_train_batch_end", 1),
        ("on_train_batch_end", 4),
        ("on_train_batch_end", 5),
        ("on_train_batch_end", 8),
        ("on_train_batch_end", 10),
        ("on_validation_end", 5),
        ("on_validation_end", 10),
        ("on_train_epoch_end", 5),
        ("on_train_epoch_end", 10),
    ],
)
def test_resumed_run_sees_what_the_uninterrupted_one_would_have_seen(tmp_path, hook, batches):
    whole, first, second = cut_and_resume(tmp_path, hook, batches, workers=0)
    assert len(whole) == 5 * EPOCHS
    assert len(first) == batches
    assert same(whole, first + second)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_a_resumed_run_sees_the_same_augmented_images(tmp_path):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    whole, first, second = cut_and_resume(tmp_path, "on_train_batch_end", 8, 0, [v2.RandomCrop(8, padding=2)])
    assert same(whole, first + second)
    assert {x.shape[1:] for _, x, _ in whole} == {(1, 8, 8)}
    plain = data()
    plain._training_batches().set_epoch(0)
    stored = next(iter(plain.train_dataloader()))
    assert torch.equal(stored["label"], whole[0][2])
    assert not torch.equal(stored["x"], whole[0][1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("hook", "batches"), [("on_train_batch_end", 8), ("on_train_epoch_end", 5)])
def test_workers_that_prefetch_change_nothing(tmp_path, hook, batches):
    whole, first, second = cut_and_resume(tmp_path, hook, batches, workers=2)
    assert same(whole, first + second)


@pytest.mark.filterwarnings("ignore")
def test_a_second_fit_without_checkpoint_starts_at_the_beginning(tmp_path):
    module = data()
    module._start = module._start._replace(epoch=1, batch=2)
    model, fresh = Recorder(), Recorder()
    trainer(tmp_path).fit(model, module)
    trainer(tmp_path).fit(fresh, data())
    assert same(model.seen, fresh.seen)


@pytest.mark.filterwarnings("ignore")
def test_overfitting_repeats_the_same_batches(tmp_path):
    model = Recorder()
    overfit = Trainer(
        max_epochs=2,
        overfit_batches=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    overfit.fit(model, Digits(seed=3))
    images = [x for _, x, _ in model.seen]
    assert torch.equal(images[0], images[2])
    assert torch.equal(images[1], images[3])
    assert not torch.equal(images[0], images[1])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_resuming_inside_an_epoch_with_another_batch_size_warns(tmp_path):
    path = tmp_path / "cut.ckpt"
    with pytest.raises(Cut):
        trainer(tmp_path, CutAt("on_train_batch_end", 2, path)).fit(Recorder(), data())
    state = torch.load(path, weights_only=True)["Digits"]
    assert (state["epoch"], state["batch"]) == (0, 2)
    other = Digits(batch_size=32, seed=3, val_size=97, test_size=1400)
    with pytest.warns(UserWarning, match=r"inside epoch 0 with another batch_size 64 -> 32"):
        other.load_state_dict(state)
