"""No training step reads a number from the device: two steps of every model, with Lightning and the whole engine.

They run on the device "meta", which differs from the CPU wherever a module asks, and on which PyTorch's autograd runs:
of a pretended CUDA device it asks the driver. Between two rows of the log nothing may be read.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from pretended import MODELS, B, NoCopies, batch_of, built, fitting, moved
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from lsgen.models import VAE, LatentModel
from lsgen.models.embedding import GloVe
from lsgen.models.gan import AdversarialModel
from lsgen.models.graphs import NodeModel, PairRanking
from lsgen.models.optimised import OptimisedModel
from lsgen.models.vae import AdversarialObjective

META = torch.device("meta")
HOST_READS = {
    # models that read in a step: a number of the host, which the mode cannot tell from one of the device, and where
    "hessian_gan": "lsgen/nn/noise.py",  # the seed of draws that are repeated
    # pairs and triplets of another library have no fixed number: they are found on the device and waited for
    "info_nce": "pytorch_metric_learning/utils/loss_and_miner_utils.py",
    # counts are kept for another library without their zeros, whose number is waited for
    "lda": "lsgen/models/topics/fitted_topics.py",
    "nmf": "lsgen/models/topics/fitted_topics.py",
    "plsa": "lsgen/models/topics/fitted_topics.py",
    "triplet": "pytorch_metric_learning/utils/loss_and_miner_utils.py",
}
ENGINE = ("seeding", "finite_loss", "checkpoint", "metrics", "progress", "ema")


class _Over(Exception):
    """Two steps are done."""


class _Loader:
    """Batches on the host, of which two are given."""

    def __init__(self, batch: dict[str, Tensor]) -> None:
        self.batch, self.dataset = batch, range(1000)

    def __len__(self) -> int:
        return 100

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        yield self.batch
        yield self.batch
        raise _Over


class _Pretended(SingleDeviceStrategy):
    """Moves batches to the pretended device; from there to the end of the step everything is pretended."""

    def __init__(self, modes: ExitStack) -> None:
        super().__init__(device=torch.device("cpu"))
        self.modes = modes
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)

    def batch_to_device(self, batch: Any, device: Any = None, dataloader_idx: int = 0) -> Any:
        self.modes.enter_context(self.mode)
        self.modes.enter_context(NoCopies())
        model = self.model
        assert model is not None
        if model.device != META:
            parameters = moved(model, META)
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["params"] = [parameters[id(p)][1] for p in group["params"]]
        return super().batch_to_device(batch, META, dataloader_idx)

    def teardown(self) -> None:
        """Leave pretended weights where they are."""


def train(model: LatentModel, callbacks: list[Any], place: Path) -> None:
    """Train for two steps on the pretended device, between two rows of the log."""
    descent = partial(torch.optim.SGD, lr=0.1)  # PyTorch's Adam asks what kind of device it is on
    if isinstance(model, AdversarialModel):
        model.updates = replace(model.updates, generator_optimizer=descent, critic_optimizer=descent, n_critic=1)
    if isinstance(model, OptimisedModel):
        model.optimizer = descent
    if isinstance(model, PairRanking):
        geoopt = pytest.importorskip("geoopt")
        model.optimizer = partial(geoopt.optim.RiemannianSGD, lr=0.1)  # which knows the manifold
    if isinstance(model, VAE) and isinstance(model.objective, AdversarialObjective):
        model.objective.optimizer = descent
    with ExitStack() as modes:
        trainer = Trainer(
            default_root_dir=place, strategy=_Pretended(modes), max_epochs=1, logger=False, callbacks=callbacks,
            enable_model_summary=False, limit_val_batches=0, log_every_n_steps=50, num_sanity_val_steps=0,
        )  # fmt: skip
        loop = trainer.fit_loop.epoch_loop
        advance = loop.advance

        def step(*args: Any) -> None:
            try:
                advance(*args)
            finally:
                modes.pop_all().close()

        loop.advance = step  # type: ignore[method-assign]
        batch = batch_of(model.latent_space)
        if isinstance(model, GloVe):
            batch["x"] = torch.ones(B, 3)  # entries of two words and their count
        if isinstance(model, NodeModel):
            batch["x"] = torch.arange(B * model.row).reshape(B, -1) % model.latent_space.decoder.nodes
        with pytest.raises(_Over):
            trainer.fit(model, _Loader(batch))


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())  # knows no device "meta"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_reads_nothing_from_the_device(name: str, tmp_path: Path, quiet: None) -> None:
    config = fitting(f"model={name}")
    callbacks = [instantiate(config.callbacks[name]) for name in ENGINE if name in config.callbacks]
    model = built(config)
    if name in HOST_READS:
        with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)) as found:
            train(model, callbacks, tmp_path)
        assert any(str(entry.path).endswith(HOST_READS[name]) for entry in found.traceback)
        return
    train(model, callbacks, tmp_path)
    assert (model.generator_steps, model.images_seen) == (2, 2 * B)
    assert {p.device for p in model.parameters()} == {META}


READS: dict[str, Callable[[Tensor], object]] = {
    "a number": lambda x: x.sum().item(),
    "a decision": lambda x: bool((x > 0).any()),
    "a list": lambda x: x.tolist(),
    "places": lambda x: x.nonzero(),
    "a part": lambda x: x[x > 0],
    "a copy": lambda x: x.cpu(),
    "two devices": lambda x: x + torch.ones(3),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_is_refused(read: Callable[[Tensor], object]) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True), NoCopies():
        x = torch.ones(3, device=META)
        assert (x + torch.ones(())).device == META
        with pytest.raises((DataDependentOutputException, DynamicOutputShapeException, AssertionError, RuntimeError)):
            read(x)
