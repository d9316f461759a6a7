"""Decoders that a page runs itself: in a browser, against PyTorch."""

from base64 import b64encode
from pathlib import Path

import lsgen.conf
import numpy as np
import pytest
import torch
import yaml
from browser import chromium
from pages import Attending
from torch import nn

import lsgen.explorer
from lsgen import likelihoods
from lsgen.explorer.decoder import UndecodableError, decoder_program, shown
from lsgen.latent import LadderDecoder, LatentSpace, ResidualLadderDecoder, StandardNormal, WrappedNormalPrior
from lsgen.models.gan.space import RescaledGenerator
from lsgen.nn import (
    Conv64Decoder,
    ConvDecoder,
    GeodesicDecoder,
    GridDecoder,
    MLPDecoder,
    MLPEncoder,
    MobiusDecoder,
    RBFPrecision,
    ResNetDecoder,
    StagedRBFDecoder,
    WAEDecoder,
)
from lsgen.nn.adversarial.bigan import BiGANGenerator
from lsgen.nn.adversarial.biggan import BigGANGenerator
from lsgen.nn.adversarial.dcgan import DCGANGenerator
from lsgen.nn.adversarial.resnet_gan import ResNetGenerator
from lsgen.nn.adversarial.stylegan import StyleGenerator

PAGE = Path(lsgen.explorer.__file__).parent / "page"
G, C = (1, 8, 8), (3, 16, 16)
NETWORKS = {
    "mlp": lambda: MLPDecoder(4, G, (9, 7), nn.SiLU),
    "mlp, gated, tanh": lambda: MLPDecoder(4, G, (9, 8), nn.Tanh, gated=True),
    "conv": lambda: ConvDecoder(4, C, (5, 6), 9, nn.SiLU),
    "conv64": lambda: Conv64Decoder(4, (2, 64, 64)),
    "resnet": lambda: ResNetDecoder(4, C, (8, 12)),
    "grid": lambda: GridDecoder(32, G, 6, 1, 1, nn.GELU, stages=2),
    "wae": lambda: WAEDecoder(4, C, 8, 2),
    "geodesic": lambda: GeodesicDecoder(2, G, 1.0, (7,), nn.ELU),
    "mobius": lambda: MobiusDecoder(2, G, 1.0, (7,), nn.Softplus),
    "ladder": lambda: LadderDecoder(MLPEncoder((2,), 3, (5,)), MLPDecoder(3, G, (5,)), 2, 3, 1),
    "residual ladder": lambda: ResidualLadderDecoder(G, ((1, 4), (4, 2)), 8),
    "rbf": lambda: StagedRBFDecoder(MLPDecoder(2, G, (7,)), RBFPrecision(2, G, 5)),
    "bigan": lambda: RescaledGenerator(BiGANGenerator(4, G, 8), None),
    "biggan": lambda: RescaledGenerator(BigGANGenerator(8, C, (8, 8), 0, 4, 16), (0.0, 1.0)),
    "dcgan": lambda: RescaledGenerator(DCGANGenerator(4, C, 4, lambda: nn.LeakyReLU(0.2)), (0.0, 1.0)),
    "multihead_attention": lambda: Attending((1, 8, 8)),
    "resnet_gan": lambda: RescaledGenerator(ResNetGenerator(4, C, (8, 8), attention=16, spectral=True), (0.0, 1.0)),
    "stylegan": lambda: RescaledGenerator(StyleGenerator(4, C, 8, (8, 4, 4), 2), (0.0, 1.0)),
}
RUN_ELSEWHERE = {"lsgen.nn.DiffusionTransformer", "lsgen.nn.MLPDenoiser", "lsgen.nn.UNet"}  # denoisers of a sampler
FAMILIES = {
    "Bernoulli": (1, {}), "Beta": (2, {}), "Categorical": (4, {"levels": 4, "high": 1.0}),
    "ContinuousBernoulli": (1, {}),
    "DiscretisedLogisticMixture": (6, {"levels": 16, "components": 2}), "FixedGaussian": (1, {"sigma": 1.0}),
    "FixedLaplace": (1, {"scale": 1.0}), "FixedLogistic": (1, {"scale": 1.0}), "Gaussian": (2, {}), "Laplace": (2, {}),
    "FixedNegativeBinomial": (1, {"dispersion": 1.0}), "Logistic": (2, {}), "Multinomial": (1, {}),
    "NegativeBinomial": (2, {}),
    "OptimalGaussian": (1, {}), "Poisson": (1, {}), "SharedGaussian": (1, {"sigma": 1.0}), "StudentT": (3, {}),
    "SharedStudentT": (2, {}),
}  # fmt: skip


def network_space(name):
    torch.manual_seed(0)
    decoder = NETWORKS[name]()
    for layer in decoder.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    dim = getattr(decoder, "dim", None) or 4
    prior = WrappedNormalPrior(dim) if name in ("geodesic", "mobius") else StandardNormal(dim)
    with torch.no_grad():
        out = decoder.eval()(prior().sample((1,)))
    heads = getattr(decoder, "heads", 1)
    shape = (out.shape[1] // heads, *out.shape[2:])
    family = likelihoods.Gaussian(shape) if heads == 2 else likelihoods.FixedGaussian(shape, 1.0)
    return LatentSpace(decoder, family, prior).eval()


def family_space(name, shape=(5,)):
    torch.manual_seed(1)
    heads, options = FAMILIES[name]
    family = getattr(likelihoods, name)(shape, **options)
    return LatentSpace(MLPDecoder(3, shape, (6,), heads=heads), family, StandardNormal(3)).eval()


@pytest.fixture(scope="module")
def engine():
    """What the page decodes codes to: program, codes (N, d) -> (N, size), and its error on the codes in the page."""
    with chromium() as browser:
        page = browser.new_page()
        page.add_script_tag(content=(PAGE / "decoder.js").read_text())

        def run(program, z):
            rounded = {name: np.asarray(w, np.float16).astype(np.float32) for name, w in program.weights.items()}
            weights = {name: b64encode(w.tobytes()).decode() for name, w in rounded.items()}
            known = {"steps": program.steps, "weights": weights, "shape": program.shape, "low": 0.0, "high": 1.0}
            return page.evaluate(
                "([program, codes]) => { for (const name in program.weights) program.weights[name] = new Float32Array("
                "Uint8Array.from(atob(program.weights[name]), (c) => c.charCodeAt(0)).buffer);"
                " const made = decoderEngine(program);"
                " return [codes.map((z) => [...made.decode(Float32Array.from(z))]), made.check().error]; }",
                [known, z.tolist()],
            )

        yield run


def agrees(engine, space):
    z = space.prior().sample((5,)).detach()
    program = decoder_program(space, z, (0.0, 1.0))
    with torch.no_grad():
        truth = torch.cat([shown(space.decode(code).mean) for code in z.split(1)])
    found, error = engine(program, z)
    assert program.shape == tuple(truth.shape[1:])
    np.testing.assert_allclose(found, truth.flatten(1).numpy(), atol=1e-2, rtol=1e-3)
    assert error < 1e-2


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.shows("decode")
def test_the_page_decodes_as_pytorch_does(engine, name):
    agrees(engine, network_space(name))


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_page_knows_the_mean_of_every_likelihood(engine, name):
    agrees(engine, family_space(name, (3, 4, 4) if "Mixture" in name else (5,)))


@pytest.mark.browser
@pytest.mark.slow
def test_operations_of_other_decoders(engine):
    class Other(nn.Module):
        """Operations that no decoder of the house has."""

        def __init__(self):
            super().__init__()
            self.one = nn.Conv1d(2, 4, 3, padding=2, dilation=2, groups=2)
            self.norm, self.mix = nn.LayerNorm(6), nn.Parameter(torch.randn(6, 6))

        def forward(self, z):
            x = self.norm(self.one(z.view(-1, 2, 6)))
            a, b = x.softmax(-2).chunk(2, 1)
            x = torch.cat([a @ self.mix, b @ a.transpose(1, 2) @ a], 1)
            x = torch.stack([x.amax(1), x.mean(1), nn.functional.hardtanh(x.sum(1), -0.5, 0.5)], 1)
            x = nn.functional.interpolate(x[:, None], scale_factor=2, mode="bilinear", align_corners=True)
            x = nn.functional.avg_pool2d(nn.functional.max_pool2d(x, 3, 1, 1), 2)
            return torch.where(x > 0.1, x.clamp(min=0.2).log1p(), torch.addcmul(x, x, x, value=-0.5)).flatten(1)

    torch.manual_seed(2)
    space = LatentSpace(Other(), likelihoods.FixedGaussian((18,), 1.0), StandardNormal(12)).eval()
    agrees(engine, space)


def test_every_network_of_the_configurations_is_among_these():
    classes = {type(part).__name__ for make in NETWORKS.values() for part in make().modules()}
    for file in (Path(next(iter(lsgen.conf.__path__))) / "net").glob("*.yaml"):
        parts = yaml.safe_load(file.read_text()) or {}
        for name in ("decoder", "generator"):
            target = (parts.get(name) or {}).get("_target_")
            assert target is None or target in RUN_ELSEWHERE or target.rpartition(".")[2] in classes, target


def test_every_likelihood_is_among_these():
    kinds = {
        name for name in likelihoods.__all__
        if isinstance(kind := getattr(likelihoods, name), type) and issubclass(kind, likelihoods.Likelihood)
        and not getattr(kind, "__abstractmethods__", None)
    }  # fmt: skip
    assert {kind for kind in kinds if not kind.endswith(("Mixed", "Modalities", "Tokens"))} <= set(FAMILIES)


def test_the_model_stays_as_it_is_and_the_error_is_that_of_half_precision():
    space = network_space("mlp").double().train()
    weight = next(space.parameters()).clone()
    program = decoder_program(space, torch.randn(3, 4), (0.0, 1.0))
    assert space.training
    assert next(space.parameters()).dtype == torch.float64
    assert torch.equal(next(space.parameters()), weight)
    assert 0 < program.error < 1e-3
    assert len(program.weights["check/codes"]) == 3


def refused(decoder, shape=(4,)):
    space = LatentSpace(decoder, likelihoods.FixedGaussian(shape, 1.0), StandardNormal(4)).eval()
    with pytest.raises(UndecodableError) as caught:
        decoder_program(space, torch.randn(2, 4), (0.0, 1.0))
    return str(caught.value)


class Function(nn.Module):
    """A decoder that is a function."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, z):
        return self.f(z)


def test_what_the_page_cannot_run_is_named():
    assert "no step for the operation aten.sort" in refused(Function(lambda z: z.sort(-1).values))
    assert "no step for the operation aten.argmax" in refused(Function(lambda z: z[:, z.argmax(-1)].expand(-1, 4)))
    assert "draws random numbers (randn_like)" in refused(Function(lambda z: z + torch.randn_like(z)))
    assert "more than 2,000 operations" in refused(Function(lambda z: sum((z * i for i in range(2000)), z)))
    assert "cannot be recorded" in refused(Function(lambda z: z if z.sum().item() > 0 else -z))
    normalised = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.BatchNorm1d(2, track_running_stats=False), nn.Flatten())
    assert "statistics of a batch" in refused(normalised)
    assert "Expected more than 1 value per channel" in refused(nn.BatchNorm1d(4, track_running_stats=False))
    assert "convolutions of 3 dimensions" in refused(
        Function(lambda z: nn.functional.conv3d(z.view(-1, 1, 1, 1, 4), torch.ones(1, 1, 1, 1, 1)).flatten(1))
    )
    assert "needs more than half precision" in refused(Function(lambda z: z * torch.tensor([1e5, 1, 1, 1])))
    assert "up to three dimensions" in refused(nn.Sequential(nn.Unflatten(1, (1, 1, 2, 2))), (1, 1, 2, 2))
    deep = nn.Sequential(nn.Linear(4, 2000), nn.Linear(2000, 5000), nn.Linear(5000, 4))
    assert "10,0" in refused(deep)
    assert "8,000,000" in refused(deep)


def test_pictures_are_laid_out_as_viz_does():
    two = torch.rand(3, 2, 4, 5)
    assert torch.equal(shown(two)[0], torch.cat([two[0, 0], two[0, 1]], 1))
    assert shown(torch.rand(3, 3, 4, 5)).shape == (3, 4, 5, 3)
    assert shown(torch.rand(3, 1, 4, 5)).shape == (3, 4, 5)
    assert shown(torch.rand(3, 7)).shape == (3, 7)
