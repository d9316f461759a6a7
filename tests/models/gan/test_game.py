"""Who moves when: steps, clocks, accumulation, clipping, labels and resuming, in training runs of a few batches."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsgen.latent import Prior, StandardNormal
from lsgen.latent.families.product import OneHot, Product
from lsgen.latent.sampling.samplers import generate
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, R1, GradientPenalty, Hinge, NonSaturating, Relativistic, Updates, Wasserstein

SGD = partial(torch.optim.SGD, lr=0.1)


class Codes(Prior):
    """A prior whose draws are always the same, so that batches of any size hold the same codes."""

    def forward(self) -> Any:
        return self

    def sample(self, shape: tuple[int]) -> Tensor:
        return torch.linspace(-1, 1, shape[0]).unsqueeze(1).expand(-1, self.dim)


def _gan(**changes: Any) -> GAN:
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "generator": nn.Linear(2, 3),
        "critic": nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)),
        "likelihood": FixedGaussian((3,)),
        "prior": StandardNormal(2),
        "loss": NonSaturating(),
    }
    options = {
        field.name: changes.pop(field.name, SGD) for field in fields(Updates) if field.name.endswith("optimizer")
    }
    options |= {field.name: changes.pop(field.name) for field in fields(Updates) if field.name in changes}
    return GAN(**parts | changes, updates=Updates(**options))


def _data(batches: int, size: int = 4, **extra: Any) -> DataLoader[Any]:
    x = torch.randn(batches * size, 3, generator=torch.Generator().manual_seed(1))
    items = [{"x": part} | {name: value[:size] for name, value in extra.items()} for part in x.split(size)]
    return DataLoader(items, batch_size=None)  # type: ignore[arg-type]


def _trainer(tmp_path: Path, *callbacks: Callback, **options: Any) -> Trainer:
    return Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks), **options
    )  # fmt: skip


class Counter(Callback):
    """Counts what the two optimisers do, and notes the clocks after every batch."""

    def __init__(self) -> None:
        self.updates: list[int] = []
        self.clocks: list[tuple[int, int]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.updates.append(next(i for i, o in enumerate(trainer.optimizers) if o is optimizer))

    def on_train_batch_end(self, trainer: Any, pl_module: GAN, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.clocks.append((pl_module.generator_steps, pl_module.images_seen))


@pytest.mark.parametrize("n_critic", [1, 5])
def test_updates_and_clocks_are_exact(tmp_path: Path, n_critic: int) -> None:
    counter, gan = Counter(), _gan(n_critic=n_critic)
    _trainer(tmp_path, counter).fit(gan, _data(11))
    assert counter.updates == [
        player for batch in range(1, 12) for player in ([0, 1] if batch % n_critic == 0 else [0])
    ]
    assert counter.clocks == [(batch // n_critic, 4 * batch) for batch in range(1, 12)]
    assert gan.critic_steps == 11


@pytest.mark.parametrize("n_critic", [1, 5])
def test_max_steps_counts_generator_steps(tmp_path: Path, n_critic: int) -> None:
    counter, gan = Counter(), _gan(n_critic=n_critic, max_steps=2)
    _trainer(tmp_path, counter).fit(gan, _data(20))
    assert gan.generator_steps == 2
    assert counter.updates == ([0] * n_critic + [1]) * 2


def test_one_step_is_that_of_a_loop_written_by_hand(tmp_path: Path) -> None:
    gan, reference = _gan(prior=Codes(2), regularisers=[R1(2.0)]), _gan(prior=Codes(2))
    batch = next(iter(_data(1)))
    _trainer(tmp_path).fit(gan, _data(1))

    z, loss = Codes(2).sample((4,)), NonSaturating()
    optimizers = [SGD(reference.critic.parameters()), SGD(reference.generator.parameters())]
    x = batch["x"].clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(reference.critic(x).sum(), x, create_graph=True)
    score = reference.critic(batch["x"]), reference.critic(reference.generator(z).detach())
    (loss.critic(*score) + slope.square().sum(1).mean()).backward()
    optimizers[0].step()
    optimizers[1].zero_grad()
    loss.generator(score[0], reference.critic(reference.generator(z))).backward()
    optimizers[1].step()
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(gan.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("loss", [Wasserstein(), Hinge(), NonSaturating()])
def test_accumulated_batches_make_the_update_of_one_large_batch(tmp_path: Path, loss: nn.Module) -> None:
    class Halves(Codes):
        def sample(self, shape: tuple[int]) -> Tensor:
            return super().sample((4,)).repeat(shape[0] // 4, 1)

    small, large = (_gan(loss=loss, prior=Halves(2), accumulate=k, n_critic=2) for k in (2, 1))
    counter = Counter()
    _trainer(tmp_path, counter).fit(small, _data(8, size=4))
    _trainer(tmp_path).fit(large, _data(4, size=8))
    assert counter.updates == [0, 0, 1, 0, 0, 1]
    assert (small.generator_steps, small.images_seen) == (large.generator_steps, large.images_seen) == (2, 32)
    for name, value in large.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], value, msg=name)


def test_both_players_are_clipped(tmp_path: Path) -> None:
    gan, before = _gan(clip_norm=1e-3, critic_optimizer=partial(torch.optim.SGD, lr=1.0)), _gan()
    _trainer(tmp_path).fit(gan, _data(1))
    for player, step in ((0, 1e-3), (1, 1e-4)):
        moved = [a - b for a, b in zip(gan.players()[player], before.players()[player], strict=True)]
        assert torch.cat([m.flatten() for m in moved]).norm().item() == pytest.approx(step, rel=1e-3)


def test_schedules_follow_generator_steps(tmp_path: Path) -> None:
    halving = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    gan = _gan(scheduler=halving, n_critic=3)
    trainer = _trainer(tmp_path)
    trainer.fit(gan, _data(7))
    assert [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers] == [0.025, 0.025]


def test_terms_of_both_players_are_returned_and_add_up(tmp_path: Path) -> None:
    class Keep(Callback):
        outputs: list[dict[str, Any]] = []  # noqa: RUF012

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.outputs.append(outputs)

    keep = Keep()
    gan = _gan(regularisers=[GradientPenalty(10.0), R1(1.0, every=2)], n_critic=2, loss=Wasserstein())
    _trainer(tmp_path, keep).fit(gan, _data(3))
    names = [set(outputs["losses"].scalars) for outputs in keep.outputs]
    plain = {"critic/adversarial", "critic/gradient_penalty"}
    assert names == [
        plain | {"critic/r1"},
        plain | {"generator/adversarial"},
        plain | {"critic/r1", "generator/adversarial"},
    ]
    last = keep.outputs[-1]["losses"]
    torch.testing.assert_close(last.player("critic") + last.player("generator"), keep.outputs[-1]["loss"])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path, accumulate: int) -> None:
    class Saver(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            torch.manual_seed(batch_idx)
            if batch_idx == 5:
                self.checkpoint = pl_module.state_dict(), {}
                self.checkpoint = ({k: v.clone() for k, v in self.checkpoint[0].items()}, self.checkpoint[1])
                pl_module.on_save_checkpoint(self.checkpoint[1])

    class Skipper(Saver):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            torch.manual_seed(batch_idx + 5)

    options: dict[str, Any] = {"n_critic": 2, "accumulate": accumulate, "regularisers": [R1(1.0, every=3)]}
    whole, saver = _gan(**options), Saver()
    _trainer(tmp_path, saver).fit(whole, _data(12))
    resumed = _gan(**options)
    resumed.load_state_dict(saver.checkpoint[0])
    resumed.on_load_checkpoint(saver.checkpoint[1])
    _trainer(tmp_path, Skipper()).fit(resumed, DataLoader(list(_data(12))[5:], batch_size=None))  # type: ignore[arg-type]
    assert (resumed.generator_steps, resumed.images_seen) == (whole.generator_steps, whole.images_seen)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_the_relativistic_generator_sees_real_scores(tmp_path: Path) -> None:
    gan = _gan(prior=Codes(2), loss=Relativistic())
    batch = next(iter(_data(1)))
    terms = gan.generator_terms(batch, 0)
    fake = gan.critic(gan.generator(Codes(2).sample((4,))))
    torch.testing.assert_close(terms["adversarial"], nn.functional.softplus(gan.critic(batch["x"]) - fake).mean())


def test_networks_see_minus_one_to_one_and_everybody_else_data_units() -> None:
    seen: list[Tensor] = []
    critic = lambda x: seen.append(x) or x.sum(1)
    gan = _gan(generator=nn.Sequential(nn.Linear(2, 3), nn.Tanh()), value_range=(0, 255), prior=Codes(2))
    gan.critic.forward = critic  # type: ignore[assignment, method-assign]
    gan.critic_terms({"x": torch.tensor([[0.0, 127.5, 255.0]])}, None)
    torch.testing.assert_close(seen[0], torch.tensor([[-1.0, 0.0, 1.0]]))
    torch.testing.assert_close(seen[1], gan.generator(Codes(2).sample((1,))))
    z = torch.randn(4, 2)
    torch.testing.assert_close(gan(z), (gan.generator(z) + 1) * 127.5)
    torch.testing.assert_close(gan.decoder.inverse(gan(z)), gan.generator(z))


class Conditional(nn.Module):
    """A critic that keeps what it was asked about."""

    classes = 3

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        self.label = label
        return x.sum(1)


def test_labels_condition_both_players() -> None:
    prior = Product([StandardNormal(2), OneHot(3)])
    gan = _gan(generator=nn.Linear(5, 3), critic=Conditional(), prior=prior)
    codes: list[Tensor] = []
    gan.generator.register_forward_hook(lambda module, inputs, output: codes.append(inputs[0]))
    batch = {"x": torch.randn(4, 3), "label": torch.tensor([2, 0, 1, 1])}
    gan.critic_terms(batch, 0)
    gan.generator_terms(batch, 0)
    onehot = nn.functional.one_hot(batch["label"], 3).float()
    assert torch.equal(gan.critic.label, onehot)
    assert all(torch.equal(z[:, 2:], onehot) for z in codes)
    assert (codes[0][:, :2] != codes[1][:, :2]).all()
    with pytest.raises(ValueError, match="a conditional critic expected batches with a label, got none"):
        gan.critic_terms({"x": batch["x"]}, 0)
    with pytest.raises(ValueError, match=r"one-hot label of critic.classes = 3 classes, got prior.classes = 0"):
        _gan(critic=Conditional())


def test_samples_carry_no_noise() -> None:
    gan = _gan(prior=Codes(2))
    expected = gan.generator(Codes(2).sample((5,)))
    torch.testing.assert_close(gan.latent_space.sample(5), expected)
    torch.testing.assert_close(generate(gan.latent_space, 5), expected)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: _gan(n_critic=0), "expected n_critic of at least 1, got 0"),
        (lambda: _gan(accumulate=0), "expected accumulate of at least 1, got 0"),
        (lambda: _gan(clip_norm=0), "expected a clip_norm above 0, got 0"),
        (lambda: _gan(value_range=(1, 0)), r"expected a value_range of a lower and a higher value, got \[1, 0\]"),
    ],
)
def test_options_out_of_range_are_refused(build: Callable[[], GAN], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build()


@pytest.mark.parametrize(
    ("option", "ours"),
    [({"gradient_clip_val": 0.5}, "clip_norm = 0.5"), ({"accumulate_grad_batches": 4}, "accumulate = 4")],
)
def test_options_of_the_trainer_are_led_to_those_of_the_model(
    tmp_path: Path, option: dict[str, Any], ours: str
) -> None:
    with pytest.raises(ValueError, match=f"expected model.updates.{ours} for a GAN, got trainer.{next(iter(option))}"):
        _trainer(tmp_path, **option).fit(_gan(), _data(1))


def test_what_cannot_be_trained_exactly_is_refused_before_any_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of 32-true or 64-true or bf16-mixed, got bf16-true"):
        _trainer(tmp_path, precision="bf16-true").fit(_gan(), _data(1))
    with pytest.raises(ValueError, match=r"in model.value_range = \[0, 1\], got -\d.* in observation \d of batch 0 "):
        _trainer(tmp_path).fit(_gan(value_range=(0, 1)), _data(1))
