"""The diffusion model: its bound on data of known entropy, classes, averages, and its latent space.

A network that is 0 and predicts v is the exact denoiser of normal data whose standard deviation is `sigma_data`.
"""

from math import exp, log, pi

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader

from lsgen.callbacks import Checkpoint, ODELikelihood, PowerFunctionEMA, Seeding
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.models.diffusion import (
    Denoiser,
    Diffusion,
    Guidance,
    LinearLogSNR,
    NormalLevels,
    RectifiedFlow,
    UniformLevels,
    VarianceExploding,
)
from lsgen.models.diffusion.samplers import Ancestral, Heun
from lsgen.models.diffusion.weightings import EDMWeighting, SimpleWeighting
from lsgen.nn import MLPDenoiser

f64 = torch.float64
D = 0.7


def _model(path=None, classes=0, sigma_data=D, **options):
    """Return a model of points in the plane that has learned nothing."""
    torch.manual_seed(0)
    net = MLPDenoiser((2,), classes, hidden=(4,), embedding=4)
    return Diffusion(Denoiser(net, path or LinearLogSNR(), "v", sigma_data), **options)


@pytest.mark.parametrize("path", [LinearLogSNR(), VarianceExploding()], ids=["vp", "ve"])
def test_the_bound_of_an_exact_denoiser_is_the_entropy(path):
    """In validation by levels of its own; in training by those of the loss, which another weighting draws."""
    x = D * torch.randn(100_000, 2, dtype=f64, generator=torch.Generator().manual_seed(0))
    entropy = 1 + log(2 * pi * D**2)
    for training, weighting in ((False, EDMWeighting(sigma_data=D)), (True, None)):
        model = _model(path, weighting=weighting).double().train(training)
        with torch.no_grad():
            found = model.loss({"x": x}).elbo
        error = float(found.std()) / len(x) ** 0.5
        assert error < 0.07
        assert abs(float(found.mean()) + entropy) < 4 * error + 1e-3


def test_the_loss_is_the_weighted_error_and_the_bound_is_not():
    """EDM's loss of a network that is 0 is 1 for each value, at every level, whatever the data are."""
    x = D * torch.randn(50_000, 2, dtype=f64)
    model = _model(weighting=EDMWeighting(sigma_data=D)).double()
    with torch.no_grad():
        losses = [model.train(training).loss({"x": x}).loss for training in (True, False)]
    torch.testing.assert_close(torch.stack(losses), torch.full((2,), 2.0, dtype=f64), rtol=0.03, atol=0)


def test_the_bound_is_a_density_in_the_units_of_the_data():
    x = D * torch.randn(50, 2, dtype=f64)
    plain, scaled = _model().double().eval(), _model(value_range=(-3.0, 1.0)).double().eval()
    losses = []
    for model, seen in ((plain, x), (scaled, 2 * x - 1)):
        torch.manual_seed(1)
        losses.append(model.loss({"x": seen}))
    torch.testing.assert_close(losses[1].elbo, losses[0].elbo - 2 * log(2))
    torch.testing.assert_close(losses[1].loss, losses[0].loss)
    torch.manual_seed(2)
    sample = scaled.sample(5)
    torch.manual_seed(2)
    torch.testing.assert_close(sample, 2 * plain.sample(5) - 1)


@pytest.mark.slow
def test_it_decodes_noise_by_the_sampler_and_encodes_by_its_inversion():
    """The exact flow of normal data is a scaling, of D over the deviation at the end, and back."""
    model = _model(sampler=Heun(200, denoise_last=False), likelihood=FixedGaussian((2,), 0.3)).double().eval()
    space, z = model.latent_space, torch.randn(6, 2, dtype=f64)
    path = model.path
    ends = [(path.scales(torch.tensor(l, dtype=f64))) for l in (path.log_snr_min, path.log_snr_max)]
    (a0, s0), (a1, s1) = ends
    scale = ((a1**2 * D**2 + s1**2) / (a0**2 * D**2 + s0**2)).sqrt() * s0 / a1
    with torch.no_grad():
        x = space.raw(z)
        torch.testing.assert_close(x, scale * z, rtol=1e-3, atol=0)
        torch.testing.assert_close(space.encode(x).mean, z, rtol=1e-3, atol=0)
        torch.testing.assert_close(model(x), x, rtol=1e-3, atol=0)
        torch.testing.assert_close(space.observe(z), x)
    assert space.decode(z).stddev.unique() == 0.3
    assert {name for name, _ in model.latent_space.encoder.named_parameters()} == set()


@pytest.mark.slow
def test_likelihoods_are_those_of_the_noised_data_in_their_units(tmp_path):
    """Exact: the ODE starts in a normal distribution and ends in one, but for what the prior lacks at l_min."""
    path = RectifiedFlow(log_snr_max=4, log_snr_min=-14)
    model = _model(path, value_range=(-3.0, 1.0)).double().eval()
    seen = D * torch.randn(20, 2, dtype=f64)
    variance = D**2 + exp(-path.log_snr_max)
    expected = -(seen.square() / variance + log(2 * pi * variance)).sum(1) / 2 - 2 * log(2)
    found = model.log_likelihood(2 * seen - 1, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.value, expected, rtol=0, atol=3e-4)
    rows = DataLoader([{"x": part} for part in (2 * seen - 1).split(8)], batch_size=None)
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False, callbacks=[ODELikelihood(12)])
    measured = trainer.test(model, rows, verbose=False)[0]
    assert measured["test/nll_ode"] == pytest.approx(-float(expected[:12].mean()), abs=1e-3)
    assert measured["test/nll_ode_nats_per_dimension"] == pytest.approx(-float(expected[:12].mean()) / 2, abs=1e-3)
    trainer = Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, callbacks=[ODELikelihood(4, probes=2)]
    )
    estimated = trainer.test(model, rows, verbose=False)[0]
    assert estimated["test/nll_ode"] == pytest.approx(-float(expected[:4].mean()), abs=1e-3)
    assert estimated["test/nll_ode_error"] == pytest.approx(0, abs=1e-3)  # D is isotropic here
    with pytest.raises(TypeError, match="ODELikelihood expected a Diffusion model, got LightningModule"):
        ODELikelihood().setup(trainer, LightningModule(), "test")


class Labelled(nn.Module):
    """A network whose prediction of the data is the label."""

    shape, classes = (2,), 3

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, x, noise, label=None):
        self.seen.append(label)
        return 0 * x + self.weight * label[:, None].to(x.dtype)


def test_labels_are_left_out_in_training_only_and_unknown_ones_are_of_no_class():
    net = Labelled()
    model = Diffusion(Denoiser(net, LinearLogSNR(), "data"), guidance=Guidance(dropout=0.3))
    label = torch.tensor([-1, 0, 1, 2]).repeat(5_000)
    model.loss({"x": torch.zeros(20_000, 2), "label": label})
    model.eval().loss({"x": torch.zeros(20_000, 2), "label": label})
    training, evaluation = net.seen
    assert torch.equal(evaluation, torch.where(label < 0, 3, label))
    assert torch.equal(training[label < 0], torch.full((5_000,), 3))
    left_out = (training != label)[label >= 0]
    assert float(left_out.double().mean()) == pytest.approx(0.3, abs=0.02)
    assert set(training[label >= 0][left_out].tolist()) == {3}
    assert model.contract().names == ("x", "label")


def test_samples_are_of_the_class_with_guidance():
    """With D(label) = label / 2, guidance gives none + w (label - none), none = 3 / 2."""
    model = Diffusion(
        Denoiser(Labelled(), LinearLogSNR(), "data"), sampler=Heun(4), guidance=Guidance(weight=2.0, label=1)
    ).eval()
    expected = {(None, None): -0.5, (2, None): 0.5, (2, 1.0): 1.0, (0, 3.0): -3.0}
    for (label, weight), value in expected.items():
        torch.testing.assert_close(model.sample(3, label, weight), torch.full((3, 2), value))
    torch.testing.assert_close(model.latent_space.sample(3), torch.full((3, 2), -0.5))
    mixed = model.sample(3, torch.tensor([0, 1, 2]), 1.0)
    torch.testing.assert_close(mixed[:, 0], torch.tensor([0.0, 0.5, 1.0]))


def test_no_observations_have_no_samples_and_no_densities():
    model = _model(classes=3).eval()
    assert model.sample(0, label=1).shape == (0, 2)
    assert model.log_likelihood(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long)).value.shape == (0,)


def test_samples_follow_from_the_generator():
    model = _model().eval()
    first, again, other = (
        model.sample(4, sampler=Ancestral(5), generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_averaged_denoiser_is_decoded_with_and_loaded(tmp_path):
    model = _model()
    assert not model.averaged
    model.separate()
    for parameter in model.used.parameters():
        nn.init.normal_(parameter)
    z, x = torch.randn(3, 2), torch.randn(3, 2)
    loaded = _model()
    loaded.load_state_dict(model.state_dict())
    assert loaded.averaged
    outputs = []
    for one in (model.eval(), loaded.eval(), _model().eval()):
        torch.manual_seed(1)
        outputs.append((one.latent_space.raw(z), one.latent_space.encode(x).mean, one.loss({"x": x}).elbo, one))
    for a, b, c in zip(*(row[:3] for row in outputs), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert [p for p in model.learned() if not p.requires_grad] == []
    same = set(model.learned()) & set(model.used.parameters())
    assert same == set()


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: _model(guidance=Guidance()), ValueError, "expected a denoiser with classes for labels and guidance"),
        (lambda: _model().sample(2, label=1), ValueError, "expected a denoiser with classes for labels and guidance"),
        (lambda: _model().sample(2, guidance=2.0), ValueError, "expected a denoiser with classes"),
        (lambda: _model(classes=3).sample(2, guidance=2.0), ValueError, "expected a label with guidance, got"),
        (lambda: _model(classes=3).sample(2, label=3), ValueError, "expected a class from 0 to 2, got 3"),
        (lambda: _model(classes=3, guidance=Guidance(label=4)), ValueError, "expected a class from 0 to 2, got 4"),
        (lambda: _model(sampler=Ancestral()), TypeError, "expected a sampler whose steps draw nothing, got Ancestral"),
        (lambda: _model(likelihood=FixedGaussian((3,))), ValueError, r"a likelihood of shape \(2,\), as the denoiser"),
        (lambda: _model(likelihood=Bernoulli((2,))), TypeError, "such as FixedGaussian, got Bernoulli"),
        (lambda: _model(value_range=(1.0, 0.0)), ValueError, "expected a value_range of a lower and a higher value"),
        (lambda: Guidance(dropout=1.5), ValueError, r"a dropout of labels in \[0, 1\], got 1.5"),
        (lambda: Guidance(weight=float("nan")), ValueError, "Guidance expected a finite weight, got nan"),
        (lambda: _model(classes=3).sample(2, torch.tensor([0, 3])), ValueError, "expected classes from 0 to 2, got 3"),
        (lambda: _model(classes=3).sample(2, torch.tensor([0])), ValueError, "expected 2 labels, one for each"),
        (lambda: _model(classes=3).log_likelihood(torch.zeros(4, 2), torch.tensor([0, 1])), ValueError,
         "expected 4 labels, one for each"),
        (lambda: _model(classes=3).log_likelihood(torch.zeros(1, 2), torch.tensor([3])), ValueError,
         "expected classes from -1 to 2, got 3"),
        (lambda: _model(weighting=SimpleWeighting(NormalLevels(mean=500.0))), ValueError,
         "NormalLevels expected a distribution of log s with levels from -10 to 10"),
        (lambda: NormalLevels(std=float("inf")), ValueError, "NormalLevels expected a finite mean and std"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_noise_that_rounding_hides_is_refused_before_training(tmp_path):
    """Beyond, the bound of an exact denoiser is off by orders of magnitude."""
    x = D * torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    hidden, seen = (_model(LinearLogSNR(log_snr_max=bound)) for bound in (40, 30))
    with torch.no_grad():
        assert hidden.eval().loss({"x": x}).elbo.mean() < -100 < seen.eval().loss({"x": x}).elbo.mean()
    rows = DataLoader([{"x": x[:4]}], batch_size=None)
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False, max_epochs=1)
    with pytest.raises(ValueError, match=r"of at most 31\.88, as .* the rounding of torch\.float32, got 40"):
        trainer.fit(hidden, rows)


def test_the_levels_of_a_weighting_can_be_others():
    assert EDMWeighting(levels=UniformLevels()).levels == UniformLevels()


def _fit(path, model, epochs, resume=None):
    trainer = Trainer(
        default_root_dir=path, accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[Seeding(0), PowerFunctionEMA(0.2), Checkpoint(every_n_minutes=None)],
    )  # fmt: skip
    x = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(1))
    rows = DataLoader([{"x": part} for part in x], batch_size=None)
    trainer.fit(model, rows, ckpt_path=resume, weights_only=True)


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_is_bitwise_the_uninterrupted_one_its_average_too(tmp_path):
    whole, half, resumed = _model(), _model(), _model()
    _fit(tmp_path / "whole", whole, 2)
    _fit(tmp_path / "half", half, 1)
    _fit(tmp_path / "half", resumed, 2, tmp_path / "half" / "checkpoints" / "last.ckpt")
    assert (resumed.generator_steps, resumed.images_seen) == (6, 24)
    assert resumed.averaged
    assert not torch.equal(whole.used.net.last.bias, whole.trained.net.last.bias)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
