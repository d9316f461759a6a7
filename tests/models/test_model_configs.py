"""Every VAE in conf/model keeps the contract of a model, and has an experiment and a page of the gallery.

Models enrol themselves: a new yaml is tested as it stands, and fails where it brings no experiment or no page.
"""

import re
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

import lsgen
from lsgen.callbacks import LikelihoodMetrics
from lsgen.geometry import immersion, metric
from lsgen.models import VAE, LatentModel, LinearModel
from lsgen.models.vae import AdversarialObjective, DataSetObjective, RBFVariance

ROOT = Path(lsgen.__file__).parents[1]
CONF = ROOT / "conf"
TEXTS = {path.stem: path.read_text() for path in sorted((CONF / "model").glob("*.yaml"))}
EMBEDDED = ("digits", "sprites", "toy", "table")
SMALL = {  # where a model as it stands would take too long here, or its second stage come too late
    "vq_vae": ["model.prior.dim=16", "model.posterior.entries=8"],
    "vq_vae_pixelcnn": ["model.prior.dim=16", "model.posterior.entries=8", "model.prior.grid=[2,2]",
                        "model.prior.network.width=8", "model.prior.network.layers=2"],
    "rbf_vae": ["model.objective.fit_at=2", "model.decoder.precision.centres=3"],
    "vamp_vae": ["model.prior.components=20"],
    "factor_vae": ["model.objective.discriminator.hidden=[32,32]"],
    "wae_gan": ["model.objective.discriminator.hidden=[32,32]"],
}  # fmt: skip
OVERLAYS = {path.stem: path.read_text() for path in sorted((CONF / "experiment").glob("*.yaml"))}
B = 6


@cache
def _config(name: str) -> DictConfig:
    net = [] if "override /net" in TEXTS[name] or _base(name) else ["net=mlp"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [f"model={name}", "data=digits", *net, *SMALL.get(name, [])])


def _base(name: str) -> str | None:
    """Return the model that a yaml extends, where that chooses the network."""
    lines = [line.strip("- ").strip() for line in TEXTS[name].splitlines() if line.startswith("  - ")]
    return next((line for line in lines if line in TEXTS and "override /net" in TEXTS[line]), None)


def _data_of(overlay: str) -> str | None:
    """Return the data that an overlay, or one that it extends, chooses."""
    lines = [line.removeprefix("  - ") for line in OVERLAYS[overlay].splitlines() if line.startswith("  - ")]
    chosen = [line.removeprefix("override /data: ") for line in lines if line.startswith("override /data: ")]
    return next(iter(chosen), None) or next((_data_of(line) for line in lines if line in OVERLAYS), None)


def _is_gan(name: str) -> bool:
    lines = (line.strip("- ") for line in TEXTS[name].splitlines())
    base = next((line for line in lines if line in TEXTS), None)
    return "lsgen.models.gan." in TEXTS[name] or (base is not None and _is_gan(base))


NAMES = [name for name in TEXTS if not name.startswith("_") and not _is_gan(name)]


def _model(name: str) -> LatentModel:
    torch.manual_seed(0)
    model = instantiate(_config(name).model)
    if isinstance(model, VAE) and isinstance(model.objective, DataSetObjective):
        model.objective.prepare(1000)
    return model


def _data(model: LatentModel, n: int = B) -> dict[str, Tensor]:
    """Return all that a batch may hold."""
    shape = model.latent_space.likelihood.shape
    generator = torch.Generator().manual_seed(0)
    x, pair = (torch.rand(n, *shape, generator=generator).round() for _ in range(2))
    observed = torch.rand(n, *shape, generator=generator) < 0.7
    return {"x": x, "pair": pair, "observed": observed, "label": torch.arange(n) % 11 - 1}


def test_every_model_is_a_vae_or_a_gan() -> None:
    for name in NAMES:
        assert isinstance(_model(name), VAE | LinearModel), name


@pytest.mark.parametrize("name", NAMES)
def test_it_has_an_experiment_on_embedded_data_and_a_page(name: str) -> None:
    mine = [overlay for overlay, text in OVERLAYS.items() if f"override /model: {name}\n" in text]
    assert any(_data_of(overlay) in EMBEDDED for overlay in mine if not overlay.startswith("_")), mine
    assert (ROOT / "docs" / "pages" / "gallery" / f"{name}.md").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_loss_is_finite_and_every_parameter_learns(name: str) -> None:
    model = _model(name)
    batch = _data(model)
    losses = model.loss(batch)
    assert torch.isfinite(losses.loss)
    assert losses.reconstruction.shape == (B,)
    assert losses.kl.shape[0] == B
    assert all(value.ndim == 0 and not value.requires_grad for value in losses.scalars.values())
    if isinstance(model, LinearModel):
        return
    loss = losses.loss
    if isinstance(model.objective, AdversarialObjective):
        played, codes = model.objective.play(model.latent_space, batch, 0)
        loss = played.loss + model.objective.adversary_loss(model.latent_space, codes.detach())
    if isinstance(model.objective, RBFVariance):
        model.generator_steps = model.objective.fit_at
        loss = loss + model.loss(batch).loss
    loss.backward()
    without = [key for key, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not without


@pytest.mark.parametrize("name", NAMES)
def test_state_is_restored(name: str) -> None:
    first, second = _model(name), _model(name)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.mul_(1.1)
    second.load_state_dict(first.state_dict())
    torch.manual_seed(1)
    expected = first.loss(_data(first)).loss
    torch.manual_seed(1)
    torch.testing.assert_close(second.loss(_data(second)).loss, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_codes_are_decoded_into_observations(name: str) -> None:
    model = _model(name)
    space = model.latent_space
    x = _data(model)["x"]
    z = space.encode(x).mean
    assert z.shape == (B, space.dim)
    assert space.decode(z).mean.shape == x.shape
    assert space.sample(3).shape == (3, *x.shape[1:])
    assert model(x).shape == x.shape


@pytest.mark.parametrize("name", NAMES)
def test_its_geometry_is_the_information_pulled_back(name: str) -> None:
    space = _model(name).latent_space.eval().double()
    z = space.encode(_data(_model(name))["x"].double()[:2]).mean.detach()
    found = metric(immersion(space), z)
    for code, g in zip(z, found, strict=True):
        jacobian = torch.func.jacrev(lambda one: space.likelihood.split(space.raw(one)))(code)
        information = space.likelihood.fisher(space.raw(code))
        flat = jacobian.flatten(0, -3)
        expected = torch.einsum("nai,nab,nbj->ij", flat, information.flatten(0, -3), flat)
        torch.testing.assert_close(g, expected, rtol=1e-8, atol=1e-10)


def _rows(model: LatentModel) -> list[dict[str, Tensor]]:
    data = _data(model, 2 * B)
    return [{key: value[i] for key, value in data.items()} for i in range(2 * B)]


class _SeededSteps(Callback):
    """Random numbers of a step that depend on the step alone."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        torch.manual_seed(1000 + pl_module.generator_steps)


def _fit(model: LatentModel, epochs: int, ckpt_path: Path | None = None) -> Trainer:
    trainer = Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[_SeededSteps(), LikelihoodMetrics()],
    )  # fmt: skip
    rows = _rows(model)
    trainer.fit(model, DataLoader(rows, batch_size=B), DataLoader(rows, batch_size=B), ckpt_path=ckpt_path)
    assert {"val/loss", "val/elbo", "val/reconstruction"} <= set(trainer.callback_metrics)
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if "pca" not in name])
def test_a_resumed_run_is_the_uninterrupted_one(name: str, tmp_path: Path) -> None:
    whole, cut, resumed = (_model(name) for _ in range(3))
    tested = _fit(whole, 2).test(whole, DataLoader(_rows(whole), batch_size=B), verbose=False)
    assert "test/loss" in tested[0]
    _fit(cut, 1).save_checkpoint(tmp_path / "cut.ckpt")
    _fit(resumed, 2, tmp_path / "cut.ckpt")
    assert (resumed.generator_steps, resumed.images_seen) == (whole.generator_steps, whole.images_seen) == (4, 4 * B)
    moved = 0
    for key, value in whole.state_dict().items():
        if isinstance(value, Tensor):
            assert torch.equal(resumed.state_dict()[key], value), key
            moved += not torch.equal(cut.state_dict()[key], value)
    assert moved > 0


SCHEDULED = [
    f"{kind}={name}"
    for kind, texts in (("model", TEXTS), ("experiment", OVERLAYS))
    for name, text in texts.items()
    if re.search(r"^[^#\n]*_target_: lsgen\.models\.schedules\.", text, re.MULTILINE)
]


@pytest.mark.parametrize("choice", SCHEDULED)
def test_weights_reach_their_end_however_long_the_training_is(choice: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        objective = compose("train", [choice, "model.max_steps=40"]).model.objective
    schedules = [instantiate(value) for value in objective.values() if "schedules" in str(value)]
    assert schedules
    assert [schedule(30) for schedule in schedules] != [schedule(0) for schedule in schedules]
    assert [schedule(40) for schedule in schedules] == [schedule.end for schedule in schedules]
