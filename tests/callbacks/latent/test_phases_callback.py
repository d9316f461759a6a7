"""Phase transitions of a model whose denoiser is exact, against closed forms; the model in training is an MLP."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from lsgen.callbacks import Cloning, PhaseTransitions, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import Toy
from lsgen.latent import Deterministic, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.phases.cloning import crossing
from lsgen.metrics.phases.speciation import class_agreement
from lsgen.metrics.phases.symmetry_breaking import two_point_scales
from lsgen.models.diffusion import Denoiser, Diffusion, LinearLogSNR, MixtureDenoiser, RectifiedFlow, VarianceExploding
from lsgen.models.diffusion.guidance import Guidance
from lsgen.models.diffusion.samplers import Heun
from lsgen.models.diffusion.space import NoiseDecoder, NoiseEncoder, NoiseSpace
from lsgen.nn import MLPDenoiser

f64 = torch.float64
CENTRE = torch.tensor([0.4, -1.0], dtype=f64)
PATHS = [LinearLogSNR(log_snr_min=-6.0), VarianceExploding(sigma_min=0.01, sigma_max=20.0), RectifiedFlow()]
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)


def exact_space(path, means, scale):
    decoder = NoiseDecoder(MixtureDenoiser(path, means, scale), Heun(2), Guidance())
    likelihood, prior = FixedGaussian((2,)), StandardNormal(2)
    return NoiseSpace(NoiseEncoder(decoder), decoder, likelihood, prior, Deterministic()).double()


def taken(tmp_path, space, x, toys, **options):
    recorder = toys.Recorder()
    sink = Sink(tmp_path, 1, [recorder])
    PhaseTransitions(turns=Turns(probes=x), **options).run(space, Probe(x), sink)
    sink.close()
    ((_, row),) = [(step, row) for step, row in recorder.rows if "phase/speciation_spectral" in row]
    (file,) = (tmp_path / "figures" / "phase" / "measurements").glob("*.npz")
    return row, dict(np.load(file))


@every_path
def test_two_classes_decide_when_the_integral_says_so(tmp_path, toys, path):
    side, sigma, pairs = torch.tensor([2.0, 0.0], dtype=f64), 0.3, 400
    x = torch.cat([CENTRE + side, CENTRE - side]).unflatten(0, (2, 2)).repeat(200, 1)
    x = x + sigma * torch.randn(x.shape, dtype=f64)
    space = exact_space(path, torch.stack([CENTRE + side, CENTRE - side]), sigma)
    row, arrays = taken(tmp_path, space, x, toys, cloning=Cloning(pairs=pairs, steps=60, branches=10), symmetry_dims=1)
    times = torch.as_tensor(arrays["times"])
    theory = class_agreement(times, 2.0, sigma)
    for name in ("agreement", "agreement_exact"):
        error = (theory * (1 - theory) / pairs).sqrt() + 0.01
        assert ((torch.as_tensor(arrays[name])[:, 0] - theory).abs() < 4 * error).all(), name
    expected = -crossing(-times, theory)
    for key in ("phase/speciation", "phase/speciation_exact"):
        assert row[key] == pytest.approx(expected, abs=0.25)
    assert row["phase/speciation_spectral"] == pytest.approx(math.log(4 + sigma**2) / 2, abs=0.02)
    assert "phase/symmetry_breaking" not in row


@pytest.mark.slow
def test_points_collapse_and_their_centre_breaks_as_the_closed_form_says(tmp_path, toys):
    """A model that has memorised two points is the exact denoiser of its data."""
    points = CENTRE + torch.tensor([[1.5, 0.0], [-1.5, 0.0]], dtype=f64)
    row, arrays = taken(tmp_path, exact_space(PATHS[1], points, 0.0), points, toys, cloning=Cloning(300, 40, 8))
    critical = -math.log(two_point_scales(1.5).drift)
    for key in ("phase/symmetry_breaking", "phase/symmetry_breaking_exact"):
        assert row[key] == pytest.approx(critical, rel=2e-3)
    np.testing.assert_allclose(arrays["centre_variances"][0], arrays["centre_variances"][1], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(arrays["centre_variances"][0], 1.5**2, rtol=1e-6)  # at the centre both are as likely
    theory = class_agreement(torch.as_tensor(arrays["times"]), 1.5, 0.0)[:, None]
    for name in ("agreement", "agreement_exact"):  # sides and points are the same two classes
        assert (torch.as_tensor(arrays[name]) - theory).abs().max() < 4 * math.sqrt(0.25 / 300)


@pytest.mark.slow
def test_it_follows_a_model_in_training_and_says_what_it_leaves_out(tmp_path, toys):
    net = MLPDenoiser((2,), hidden=(16,))
    model = Diffusion(Denoiser(net, LinearLogSNR()), max_steps=4)
    callback = PhaseTransitions(2, n=50, cloning=Cloning(8, 6, 3))
    recorder = toys.Recorder()
    data = Toy(train_size=200, val_size=20, test_size=20, batch_size=20)
    trainer = Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=1, logger=recorder, callbacks=[callback],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, data)
    assert recorder.steps("phase/speciation_spectral") == [2, 4]
    assert not {"phase/collapse", "phase/collapse_exact"} & recorder.keys()  # 50 of 200 observations
    names = {path.name for path in (Path(tmp_path) / "figures" / "phase").iterdir()}
    assert names == {"agreement", "centre", "measurements"}


def test_other_models_and_sizes_are_refused(toys):
    with pytest.raises(TypeError, match="expected a diffusion model, got ThirdParty"):
        PhaseTransitions().check(toys.ThirdParty())
    with pytest.raises(ValueError, match="expected n"):
        PhaseTransitions(n=1)
    with pytest.raises(ValueError, match="steps"):
        PhaseTransitions(cloning=Cloning(steps=3, branches=5))
