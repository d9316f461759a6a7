"""Latent spaces of decoders of any kind: the geometry is that of the map, whatever computes it."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Laplace, Normal

from lsgen.geometry import immersion, scalar_curvature
from lsgen.latent import EncodableLatentSpace, MixtureOfNormals, StandardNormal
from lsgen.latent.wrapping import has_derivatives, wrap
from lsgen.likelihoods import Bernoulli, FixedGaussian, Gaussian, SharedGaussian


class Paraboloid(nn.Module):
    """(x, y) -> (x, y, x^2 + y^2), whose Gaussian curvature is 4 / (1 + 4 r^2)^2."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.cat([z, z.square().sum(1, keepdim=True)], 1)


def _file(kind, place):
    z = torch.zeros(3, 2)
    if kind == "scripted":
        torch.jit.script(Paraboloid()).save(str(place / "d.pt"))
        return place / "d.pt"
    if kind == "traced":
        torch.jit.trace(Paraboloid(), z).save(str(place / "d.ts"))
        return str(place / "d.ts")
    if kind == "exported":
        program = torch.export.export(Paraboloid(), (z,), dynamic_shapes=({0: torch.export.Dim("n")},))
        torch.export.save(program, place / "d.pt2")
        return place / "d.pt2"
    pytest.importorskip("onnx2torch")
    axes = {"z": {0: "n"}, "h": {0: "n"}}
    names = {"input_names": ["z"], "output_names": ["h"], "dynamic_axes": axes}
    torch.onnx.export(Paraboloid(), (z,), str(place / "d.onnx"), dynamo=False, opset_version=17, **names)
    return place / "d.onnx"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["module", "function", "scripted", "traced", "exported", "onnx"])
def test_the_curvature_of_a_paraboloid_whatever_computes_it(kind, tmp_path):
    decoder = Paraboloid().train() if kind == "module" else lambda z: Paraboloid()(z)
    if kind not in ("module", "function"):
        decoder = _file(kind, tmp_path)
    space = wrap(decoder, dim=2, likelihood=FixedGaussian((3,)))
    z = torch.tensor([[0.0, 0.0], [0.5, -0.25], [1.0, 1.0]])
    found = scalar_curvature(immersion(space), z)
    assert found == pytest.approx((8 / (1 + 4 * z.square().sum(1)).square()).tolist(), rel=1e-4)
    assert has_derivatives(space)
    assert space.sample(4).shape == (4, 3)


def test_outputs_are_brought_into_the_shape_of_an_observation():
    weight = torch.randn(2, 2 * 48)
    decode = lambda z: z @ weight
    space = wrap(decode, dim=2, likelihood=Gaussian((3, 4, 4)))
    z = torch.randn(5, 2)
    expected = Gaussian((3, 4, 4))(decode(z).reshape(5, 6, 4, 4))
    assert torch.equal(space.decode(z).mean, expected.mean)
    assert space.decode(z).mean.shape == (5, 3, 4, 4)
    by_class = wrap(lambda z: decode(z).reshape(-1, 6, 4, 4), dim=2, likelihood=Gaussian)
    assert by_class.likelihood.shape == (3, 4, 4)
    assert torch.equal(by_class.decode(z).mean, expected.mean)


def test_encoders_give_their_posterior_in_any_of_the_usual_forms():
    mean, log_variance = nn.Linear(3, 2), nn.Linear(3, 2)
    x = torch.randn(7, 3)
    pair = lambda x: (mean(x), log_variance(x))
    forms = (
        pair,
        lambda x: torch.cat(pair(x), 1),
        lambda x: Independent(Normal(mean(x), (log_variance(x) / 2).exp()), 1),
    )
    for encoder in forms:
        space = wrap(Paraboloid(), dim=2, likelihood=FixedGaussian((3,)), encoder=encoder)
        assert isinstance(space, EncodableLatentSpace)
        torch.testing.assert_close(space.encode(x).mean, mean(x))
        torch.testing.assert_close(space.encode(x).variance, log_variance(x).exp())
    points = wrap(Paraboloid(), dim=2, likelihood=FixedGaussian((3,)), encoder=mean)
    assert torch.equal(points.encode(x).mean, mean(x))


def test_codes_have_the_precision_of_the_decoder():
    decoder = nn.Linear(2, 3).double()
    space = wrap(decoder, dim=2, likelihood=FixedGaussian((3,)), encoder=nn.Linear(3, 4).double())
    assert space.sample(2).dtype == torch.float64
    assert space.encode(torch.zeros(1, 3).double()).mean.dtype == torch.float64
    of_prior = wrap(lambda z: decoder(z), dim=2, likelihood=FixedGaussian((3,)), prior=StandardNormal(2).double())
    assert of_prior.sample(2).dtype == torch.float64


def test_prior_and_likelihood_of_the_caller_stay_as_they_are():
    prior, likelihood, decoder = MixtureOfNormals(2, 3), SharedGaussian((3,)), nn.Linear(2, 3).double()
    before = [
        tensor.clone() for part in (prior, likelihood, decoder) for tensor in (*part.parameters(), *part.buffers())
    ]
    space = wrap(decoder, dim=2, likelihood=likelihood, prior=prior)
    with torch.no_grad():
        for tensor in (*space.prior.buffers(), *space.likelihood.parameters(), *space.likelihood.buffers()):
            tensor.add_(1)
    after = [tensor for part in (prior, likelihood, decoder) for tensor in (*part.parameters(), *part.buffers())]
    assert len(before) > 4
    assert all(one.dtype == other.dtype and torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert prior.training
    assert likelihood.training
    assert not decoder.training  # as it is said
    assert space.prior().sample().dtype == torch.float64


@pytest.mark.parametrize(
    ("decoder", "options", "sentence"),
    [
        (Paraboloid(), {"likelihood": FixedGaussian((4,))}, r"raw outputs \(64, 4\) at codes \(64, 2\), got \(64, 3\)"),
        (Paraboloid(), {"likelihood": Gaussian}, "2 heads for each channel of Gaussian"),
        (Paraboloid(), {"likelihood": "bernoulli"}, "a Likelihood or its class, got 'bernoulli'"),
        (Paraboloid(), {"prior": StandardNormal(3)}, "a prior of the dimension 2, got StandardNormal of 3"),
        (Paraboloid(), {"encoder": nn.Linear(3, 3)}, r"got \(2, 3\) in all"),
        (lambda z: (z, z), {}, r"a tensor of floats at codes \(64, 2\), got tuple"),
        (lambda z: z.long(), {}, "got a tensor of torch.int64"),
        (lambda z: z.sum(0), {}, r"got \(2,\)"),
        (7, {}, "to be a module, a function or a file, got int"),
        (
            nn.Linear(3, 3),
            {},
            r"the decoder does not take codes \(64, 2\) of torch.float32 on cpu: mat1 and mat2 shapes",
        ),
        (lambda z: z @ torch.ones(2, 3).double(), {}, "the decoder does not take codes .* of torch.float32"),
        (lambda z: z.new_full((len(z), 3), float("nan")), {}, "finite outputs of the decoder"),
        (
            Paraboloid(),
            {"encoder": lambda x: (x[:, :2],) * 3},
            r"observations \(2, 3\) .* a mean and a log variance, got 3",
        ),
        (Paraboloid(), {"encoder": lambda x: Laplace(x[:, :2], 1.0)}, "a diagonal normal distribution, got Laplace"),
        (Paraboloid(), {"encoder": nn.Linear(4, 2)}, r"the encoder does not take observations \(2, 3\)"),
        (Paraboloid(), {"dim": 2.0}, "expected a whole number as dim, got 2.0"),
        (Paraboloid(), {"prior": "normal"}, "expected prior to be a Prior, got str"),
        ("none.pt", {}, "got no file at none.pt"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(decoder, options, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        wrap(decoder, **{"dim": 2, "likelihood": FixedGaussian((3,)), **options})


def test_files_that_hold_something_else_are_refused(tmp_path, monkeypatch):
    torch.save({"state_dict": {}}, tmp_path / "c.pt")
    (tmp_path / "d.onnx").write_bytes(b"")
    (tmp_path / "d.h5").write_bytes(b"")
    with pytest.raises(ValueError, match=r"TorchScript or a saved program .* not a checkpoint"):
        wrap(tmp_path / "c.pt", dim=2, likelihood=FixedGaussian((3,)))
    with pytest.raises(ValueError, match=r"a file .pt, .ts, .pt2 or .onnx, got .*d.h5"):
        wrap(tmp_path / "d.h5", dim=2, likelihood=FixedGaussian((3,)))
    monkeypatch.setitem(sys.modules, "onnx2torch", None)
    with pytest.raises(ImportError, match=r"pip install 'lsgen\[onnx\]'"):
        wrap(tmp_path / "d.onnx", dim=2, likelihood=FixedGaussian((3,)))


def test_probabilities_and_missing_derivatives_are_told():
    with pytest.warns(UserWarning, match="as if they were probabilities"):
        wrap(lambda z: z.sigmoid(), dim=2, likelihood=Bernoulli((2,)))
    with pytest.warns(UserWarning, match="geometry needs them"):
        space = wrap(lambda z: torch.from_numpy(z.numpy() ** 2), dim=2, likelihood=FixedGaussian((2,)))
    assert not has_derivatives(space)


class _Autoencoder(nn.Module):
    """A decoder that is a method, and differs between train and eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z)


@pytest.mark.filterwarnings("error")
def test_a_method_of_a_module_is_decoded_with_in_eval_mode_and_its_precision():
    model = _Autoencoder().double().train()
    space = wrap(model.decode, dim=2, likelihood=FixedGaussian((3,)))
    assert not model.training
    assert space.sample(2).dtype == torch.float64


def test_a_function_whose_outputs_depend_on_the_batch_is_told_of():
    for layers in (_Autoencoder().layers[:2], nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.9))):
        with pytest.warns(UserWarning, match="other outputs at the same codes"):
            wrap(lambda z, layers=layers: layers.train()(z), dim=2, likelihood=FixedGaussian)


def test_a_notebook_gets_a_bar_that_is_updated_in_place(monkeypatch):
    from lsgen.callbacks.engine import notebook

    shown = []

    class Handle:
        def update(self, html):
            shown.append(html)

    display = types.ModuleType("IPython.display")
    display.HTML = str
    display.display = lambda html, display_id: shown.append(html) or Handle()
    shell = types.ModuleType("IPython")
    shell.display, shell.get_ipython = display, lambda: types.SimpleNamespace(kernel=None)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    bar = notebook.notebook_bar(4)
    bar.update(3, "a < b")
    assert ['value="0" max="4"' in shown[0], 'value="3" max="4"' in shown[1]] == [True, True]
    assert "a &lt; b" in shown[1]
    shell.get_ipython = lambda: None  # a terminal
    assert notebook.notebook_bar(4) is None
