"""Every model in conf/model trains, validates and tests on every left-over, or is refused before its first step."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Trainer

import lsgen
from lsgen.data.batches import TensorSource
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule

CONF = Path(lsgen.__file__).parents[1] / "conf"
NAMES = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if not path.stem.startswith("_"))
SMALL = {  # as small as a test needs, or as data of another shape ask for
    "vq_vae": ["model.prior.dim=16", "model.posterior.entries=8"],
    "vq_vae_pixelcnn": ["model.prior.dim=16", "model.posterior.entries=8", "model.prior.grid=[2,2]",
                        "model.prior.network.width=8", "model.prior.network.layers=2"],
    "rbf_vae": ["model.objective.fit_at=2", "model.decoder.precision.centres=3"],
    "vamp_vae": ["model.prior.components=20"],
    "stylegan": ["experiment=stylegan_digits"],
}  # fmt: skip
PAIRED = ("acgan", "cgan", "dcgan", "infogan", "lsgan", "stylegan", "vae_gan", "wae_mmd")  # compare what is in a batch


class Few(DataModule):
    """Random binary observations with everything that a model may ask for."""

    def __init__(self, shape: tuple[int, ...], batch_size: int, train: int, held_out: int) -> None:
        super().__init__(shape, shape, AsStored(2), batch_size, 0, Loading())
        self.numbers = {"train": train, "val": held_out, "test": held_out}

    def build(self, split: Any) -> Any:
        n, generator = self.numbers[split], torch.Generator().manual_seed(0)
        x, observed = (torch.rand(n, *self.shape, generator=generator) for _ in range(2))
        parts = {"x": x.round(), "pair": x.round().flip(0), "observed": observed < 0.7, "label": torch.arange(n) % 10}
        return self.subset(TensorSource(**parts), torch.arange(n), split)


@cache
def _config(name: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        chosen = SMALL.get(name, [])
        if any(one.startswith("experiment=") for one in chosen):
            return compose("train", chosen)
        choices = compose("train", [f"model={name}", "data=digits"], return_hydra_config=True).hydra.runtime.choices
        net = ["net=mlp"] if choices["net"] == "conv64_smooth" else []  # the default is for larger images
        return compose("train", [f"model={name}", "data=digits", *net, *chosen])


def _fit(name: str, batch_size: int, train: int, held_out: int) -> Any:
    torch.manual_seed(0)
    model = instantiate(_config(name).model)
    data = Few(model.latent_space.likelihood.shape, batch_size, train, held_out)
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    return model


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in PAIRED else pytest.mark.slow) for n in NAMES])
def test_a_left_over_of_one_is_learned_from(name: str) -> None:
    model = _fit(name, 6, 13, 7)
    assert model.images_seen == 13
    assert model.least_batch(training=True) == (2 if name in PAIRED else 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PAIRED, "vae", "beta_tcvae", "dip_vae_i", "factor_vae", "info_vae", "bigan", "pca"])
def test_batches_of_one_are_learned_from_or_refused_before_the_first_step(name: str) -> None:
    if name not in PAIRED:
        assert _fit(name, 1, 13, 1).images_seen == 13
        return
    with pytest.raises(ValueError, match="expected a batch_size of at least 2, the smallest batch that the model can"):
        _fit(name, 1, 13, 1)
