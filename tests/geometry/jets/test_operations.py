"""Every rule of the propagation against nested automatic differentiation, in float64.

The reference is reverse over reverse mode: PyTorch's forward over forward mode returns wrong second derivatives for
layer_norm and others (pytorch/pytorch#198017).
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lsgen.geometry.jets import propagate
from lsgen.geometry.jets.operations import one_table

D = 3
aten = torch.ops.aten
LINEAR = torch.nn.Linear(D, 24).double().requires_grad_(False)


def h(z):
    """Codes (N, 3) -> smooth features (N, 24) that bend already."""
    return torch.sin(LINEAR(z)) + LINEAR(z)


def radius(z):
    """Distances from the origin (N, 24), 1 to 3: second derivatives of an angle grow as their squares fall."""
    return 2 + h(z).cos()


def image(z):
    return h(z).view(-1, 6, 2, 2)


def expansion(f, z, order=2):
    with torch.no_grad():
        x = propagate(f, z, torch.eye(z.shape[1], dtype=z.dtype), order)
        value, jacobian = x.v.flatten(1), x.j.flatten(2).movedim(0, 1)
        if order == 1:
            return value, jacobian
        hessian = (
            x.t[x.frame.d :].flatten(2).movedim(0, 1)
            if x.curved
            else z.new_zeros(len(z), x.frame.pairs, value.shape[1])
        )
    return value, jacobian, hessian


def reference(f, z, w):
    """Value, first and second derivatives of <w, f(z)> by reverse over reverse mode."""
    z = z.clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        y = f(z).flatten(1)
        (gradient,) = torch.autograd.grad((y * w).sum(), z, create_graph=True)
        rows = [torch.zeros_like(z)] * D
        if gradient.requires_grad:
            columns = (gradient[:, k].sum() for k in range(D))
            rows = [torch.autograd.grad(c, z, retain_graph=True, materialize_grads=True)[0] for c in columns]
    i, j = torch.triu_indices(D, D)
    return y.detach(), gradient.detach(), torch.stack(rows, 1)[:, i, j]


def agree(f, n=3):
    z = torch.randn(n, D, dtype=torch.double)
    value, jacobian, hessian = expansion(f, z)
    for _ in range(2):
        w = torch.randn_like(value)
        theirs = reference(f, z, w)
        ours = value, torch.einsum("nkm,nm->nk", jacobian, w), torch.einsum("nkm,nm->nk", hessian, w)
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(expansion(f, z, 1), (value, jacobian), rtol=1e-12, atol=1e-12)


POSITIVE = {"log", "log2", "log10", "sqrt", "rsqrt", "reciprocal"}
SAME_NAME = """exp exp2 expm1 log log1p log2 log10 sqrt rsqrt reciprocal sigmoid tanh sin cos tan atan sinh cosh asinh
erf erfc abs neg square"""
ELEMENTWISE = {
    **{name: getattr(torch, name) for name in SAME_NAME.split()},
    "asin": lambda x: torch.asin(0.9 * torch.sin(x)),
    "acos": lambda x: torch.acos(0.9 * torch.sin(x)),
    "atanh": lambda x: torch.atanh(0.9 * torch.sin(x)),
    "acosh": lambda x: torch.acosh(x * x + 1.1),
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu-tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "relu-inplace": lambda x: F.relu(x + 0, inplace=True),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": lambda x: F.elu(x, 0.7),
    "celu": lambda x: F.celu(x, 0.5),
    "selu": F.selu,
    "softplus": lambda x: F.softplus(x, beta=2.0, threshold=3.0),
    "mish": F.mish,
    "hardtanh": F.hardtanh,
    "relu6": F.relu6,
    "hardswish": F.hardswish,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "threshold": lambda x: F.threshold(x, 0.1, 20.0),
    "prelu": lambda x: F.prelu(x, torch.tensor([0.3], dtype=torch.double)),
    "clamp": lambda x: x.clamp(-0.5, 0.4),
    "clamp_min": lambda x: x.clamp(min=0.1),
    "clamp_max": lambda x: x.clamp(max=0.1),
    "pow2": lambda x: x**2,
    "pow3": lambda x: x**3,
    "pow1.5": lambda x: (x * x + 1) ** 1.5,
    "pow-1": lambda x: (x * x + 1) ** -1,
    "pow-base": lambda x: 2.0**x,
    "pow-both": lambda x: (x * x + 1) ** x,
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name):
    g = ELEMENTWISE[name]
    positive = name in POSITIVE or name == "log1p"
    agree(lambda z: g(h(z) ** 2 + 0.3 if positive else h(z)))
    agree(lambda z: g(LINEAR(z) ** 2 + 0.3 if positive else LINEAR(z)))


W = torch.randn(24, 8, dtype=torch.double)
A = torch.randn(6, 2, 2, dtype=torch.double)
MASK = torch.rand(24) > 0.5

STRUCTURE = {
    "view": lambda z: h(z).view(-1, 4, 6).transpose(1, 2).reshape(z.shape[0], 24) ** 2,
    "permute": lambda z: image(z).permute(0, -1, 1, 2) ** 2,
    "expand": lambda z: h(z)[:, None].expand(-1, 3, -1) ** 2,
    "squeeze": lambda z: h(z).unsqueeze(1).unsqueeze(-1).squeeze(1).squeeze(-1) ** 2,
    "select-slice": lambda z: h(z)[:, 3:20:2] * image(z)[:, 1, 0, :1],
    "ellipsis": lambda z: image(z)[..., 0] * image(z)[..., -1],
    "index": lambda z: h(z)[:, torch.tensor([3, 1, 1])],
    "index_select": lambda z: h(z).index_select(1, torch.tensor([3, 1, 1])),
    "gather": lambda z: h(z).gather(1, torch.tensor([[3, 1, 1]]).expand(z.shape[0], 3)),
    "cat": lambda z: torch.cat([h(z), z, torch.ones(z.shape[0], 2, dtype=z.dtype)], 1),
    "stack": lambda z: torch.stack([h(z), LINEAR(z)], -1),
    "split": lambda z: torch.mul(*h(z).chunk(2, 1)),
    "split-sizes": lambda z: h(z).split([4, 20], 1)[1],
    "unbind": lambda z: image(z).unbind(2)[1] * image(z).unbind(-1)[0],
    "flip-roll": lambda z: image(z).flip(2).roll(1, 1),
    "pad": lambda z: F.pad(image(z), (1, 0, 2, 1), value=3.0),
    "reflect": lambda z: F.pad(image(z), (1, 1, 1, 1), mode="reflect"),
    "replicate": lambda z: F.pad(image(z), (1, 1, 1, 1), mode="replicate"),
    "mean-sum": lambda z: image(z).mean((2, 3)) * h(z).sum(1, keepdim=True),
    "cumsum": lambda z: h(z).cumsum(1),
    "repeat": lambda z: image(z).repeat(1, 2, 1, 1),
    "where": lambda z: torch.where(MASK, h(z), LINEAR(z)),
    "where-constant": lambda z: torch.where(h(z) > 0, h(z), torch.tensor(0.5, dtype=z.dtype)),
    "masked_fill": lambda z: h(z).masked_fill(MASK, -3.0),
    "maximum": lambda z: torch.maximum(h(z), LINEAR(z)) - torch.minimum(h(z), torch.zeros(24, dtype=z.dtype)),
    "to": lambda z: h(z).to(torch.double).contiguous(),
}

ALGEBRA = {
    "add": lambda z: 2 + h(z) + LINEAR(z) + torch.ones(1, 24, dtype=z.dtype),
    "sub": lambda z: 1 - h(z) - torch.sub(h(z), LINEAR(z), alpha=3) - W[:, 0],
    "rsub": lambda z: torch.rsub(h(z), LINEAR(z), alpha=2),
    "constant-minus": lambda z: torch.sub(W[:, 0], h(z), alpha=2),
    "mul": lambda z: h(z) * LINEAR(z) * W[:, 0] * 3,
    "mul-flat": lambda z: LINEAR(z) * LINEAR(z + 1),
    "mul-broadcast": lambda z: image(z) * A * h(z)[:, :6, None, None],
    "div": lambda z: h(z) / (h(z).roll(1, 1) ** 2 + 1) / W[:, 0].exp() + 1 / (h(z) ** 2 + 1),
    "lerp": lambda z: torch.lerp(h(z), LINEAR(z), 0.3) + torch.lerp(h(z), W[:, 0], h(z)),
    "addcmul": lambda z: torch.addcmul(h(z), h(z), W[:, 0], value=2),
    "matmul": lambda z: h(z) @ W,
    "addmm": lambda z: torch.addmm(W[:8, 0], h(z), W, alpha=2, beta=3),
    "mv": lambda z: (h(z) @ W[:, 0])[:, None],
    "left": lambda z: torch.einsum("ij,njk->nik", W.T[:, :6], h(z).view(-1, 6, 4)),
    "bmm": lambda z: h(z).view(-1, 4, 6) @ h(z).roll(1, 1).view(-1, 6, 4),
    "bmm-flat": lambda z: LINEAR(z).view(-1, 4, 6) @ LINEAR(z).view(-1, 6, 4),
    "bmm-mixed": lambda z: LINEAR(z).view(-1, 4, 6) @ h(z).view(-1, 6, 4),
    "hypernetwork": lambda z: torch.baddbmm(h(z).view(-1, 4, 6), LINEAR(z)[:, :16].view(-1, 4, 4), h(z).view(-1, 4, 6)),
    "norm": lambda z: F.normalize(h(z), dim=1) + torch.linalg.vector_norm(h(z), dim=1, keepdim=True),
    "norm-3": lambda z: torch.linalg.vector_norm(h(z), ord=3, dim=1, keepdim=True),
    "prod": lambda z: h(z)[:, :4].prod(1, keepdim=True),
    "glu": lambda z: F.glu(h(z), 1),
    "swiglu": lambda z: F.silu(h(z)[:, :12]) * h(z)[:, 12:],
    "softmax": lambda z: image(z).softmax(1),
    "softmax-flat": lambda z: LINEAR(z).softmax(-1),
    "log_softmax": lambda z: image(z).log_softmax(1),
    "logsumexp": lambda z: image(z).logsumexp((1, 2)),
    "attention": lambda z: F.scaled_dot_product_attention(*h(z).view(-1, 3, 2, 4).unbind(1)),
    "causal": lambda z: F.scaled_dot_product_attention(*h(z).view(-1, 3, 2, 4).unbind(1), is_causal=True),
    "detach": lambda z: h(z) * h(z).detach(),
    "atan2": lambda z: torch.atan2(radius(z) * LINEAR(z).sin(), radius(z) * LINEAR(z).cos()),
    "amax": lambda z: h(z).amax(1, keepdim=True) * h(z),
    "max_pool": lambda z: F.max_pool2d(image(z), 2),
    "avg_pool": lambda z: F.avg_pool2d(image(z), 2),
    "adaptive": lambda z: F.adaptive_avg_pool2d(F.interpolate(image(z), size=5), 2),
    "nearest": lambda z: F.interpolate(image(z), scale_factor=2),
    "bilinear": lambda z: F.interpolate(image(z), scale_factor=2, mode="bilinear"),
    "bicubic": lambda z: F.interpolate(image(z), size=5, mode="bicubic"),
    "pixel_shuffle": lambda z: F.pixel_shuffle(h(z).view(-1, 4, 2, 3), 2),
}


@pytest.mark.parametrize("name", STRUCTURE)
def test_structure(name):
    agree(STRUCTURE[name])


@pytest.mark.parametrize("name", ALGEBRA)
def test_algebra(name):
    agree(ALGEBRA[name])


def test_hardsigmoid():
    z = torch.randn(4, D, dtype=torch.double)
    ours = expansion(lambda z: F.hardsigmoid(3 * h(z)), z)
    theirs = expansion(lambda z: (h(z) / 2 + 0.5).clamp(0, 1), z)
    torch.testing.assert_close(ours, theirs)


def test_grid_sample_is_linear_in_the_image():
    z = torch.randn(4, D, dtype=torch.double)
    grid = torch.rand(1, 3, 2, 2, dtype=torch.double) - 0.5

    def sample(x):
        return F.grid_sample(x, grid.expand(len(x), -1, -1, -1), align_corners=False)

    basis = torch.eye(24, dtype=torch.double).view(24, 6, 2, 2)
    matrix = sample(basis).flatten(1)
    torch.testing.assert_close(expansion(lambda z: sample(image(z)), z), expansion(lambda z: h(z) @ matrix, z))


NORMALISATIONS = {
    "layer": lambda: nn.LayerNorm([2, 2]),
    "layer-plain": lambda: nn.LayerNorm([6, 2, 2], elementwise_affine=False),
    "group": lambda: nn.GroupNorm(3, 6),
    "instance": lambda: nn.InstanceNorm2d(6, affine=True),
    "batch": lambda: nn.BatchNorm2d(6),
    "rms": lambda: nn.RMSNorm([2, 2]),
}


def randomised(module):
    """Weights, biases and running statistics that are all different from their defaults."""
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            tensor.data = 0.5 + torch.rand_like(tensor)
    return module.double().eval().requires_grad_(False)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_normalisations(name):
    norm = randomised(NORMALISATIONS[name]())
    agree(lambda z: norm(image(z)))
    agree(lambda z: norm(LINEAR(z).view(-1, 6, 2, 2)))


def test_an_operation_has_one_rule():
    assert one_table({torch.sin: torch.cos}, {torch.exp: torch.exp}) == {torch.sin: torch.cos, torch.exp: torch.exp}
    with pytest.raises(ValueError, match=r"expected one rule for each operation, got two for aten.exp, aten.sin"):
        one_table({aten.sin: torch.cos, aten.exp: torch.exp}, {aten.exp: torch.exp, aten.sin: torch.sin})
