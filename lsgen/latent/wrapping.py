"""A latent space from a decoder of one's own: any module or function, TorchScript, an exported program, ONNX.

    space = lsgen.wrap(decoder, dim=2, likelihood=Bernoulli((1, 28, 28)))

The decoder gives what the likelihood takes, such as logits for a Bernoulli; only the shape of its outputs is adapted.

A plane of few dimensions in a latent space is a latent space again. Its metric is that of a surface in data space,
which is curved also where that of the whole space is flat, as it is for the noise of a diffusion model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from lsgen.extras import from_extra
from lsgen.latent.families.points import Deterministic
from lsgen.latent.manifolds.manifold import Euclidean
from lsgen.latent.posteriors import DiagonalNormal, Posterior
from lsgen.latent.priors import Prior, StandardNormal
from lsgen.latent.space import EncodableLatentSpace, LatentSpace
from lsgen.likelihoods import Bernoulli, Likelihood

__all__ = ["has_derivatives", "slice_space", "wrap"]

_Part = nn.Module | Callable[[Tensor], Any] | str | Path
_TRIED = 64  # codes that the decoder is tried on


class _Decoder(nn.Module):
    """Codes (N, d) to raw outputs (N, heads * C, ...), by another module or function."""

    def __init__(self, decode: nn.Module | Callable[[Tensor], Any], raw_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.decode, self.raw_shape = decode, raw_shape

    def forward(self, z: Tensor) -> Tensor:
        """Return the raw outputs in the likelihood's shape."""
        found: Tensor = self.decode(z)
        return found.reshape(len(z), *self.raw_shape)


class _Encoder(nn.Module):
    """Observations (N, *shape) to raw outputs (N, heads * d), by another module or function."""

    def __init__(self, encode: nn.Module | Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.encode = encode

    def forward(self, x: Tensor) -> Tensor:
        """Return mean and log variance beside each other, or the code."""
        found = self.encode(x)
        if isinstance(found, Distribution):
            normal = found.base_dist if isinstance(found, Independent) else found
            if not isinstance(normal, Normal):
                raise TypeError(f"expected a diagonal normal distribution, got {type(normal).__name__}")
            return torch.cat([normal.mean, 2 * normal.stddev.log()], -1)
        if isinstance(found, tuple | list):
            if len(found) != 2:  # which of three is the mean differs from one library to another
                raise TypeError(f"expected a mean and a log variance, got {len(found)} parts")
            return torch.cat(list(found), -1)
        raw: Tensor = found
        return raw


def wrap(
    decoder: _Part,
    *,
    dim: int,
    likelihood: Likelihood | type[Likelihood],
    encoder: _Part | None = None,
    prior: Prior | None = None,
) -> LatentSpace:
    """Return a latent space that decodes with any module or function.

    Modules are put into eval mode, and so is the module whose method is given, such as `vae.decode`. Codes have the
    precision and the device of the decoder's parameters, or, for a function, those of the prior. The space has copies
    of prior and likelihood, so that yours stay as they are.

    Args:
        decoder: maps codes (N, d) to the likelihood's raw outputs, of any shape with as many numbers: logits for a
            Bernoulli, means for a Gaussian of fixed variance, the first head of all channels first. Or a file:
            TorchScript (.pt, .ts), a saved `torch.export` program (.pt2), or ONNX (.onnx; pip install 'lsgen[onnx]').
        dim: the dimension d of codes.
        likelihood: p(x|h), which knows the shape of an observation; or its class, whose shape is then that of the
            outputs.
        encoder: maps observations (N, *shape) to (mean, log variance), each (N, d), to both beside each other (N, 2 d),
            to a diagonal normal distribution, or to points (N, d). A file as above.
        prior: of the codes; standard normal unless given.

    Returns:
        The space; one that encodes where there is an encoder.

    Raises:
        ValueError: outputs are not finite or do not have the size that the likelihood or the posterior takes, a part
            does not take what it is given, or the prior has another dimension.
        TypeError: outputs are no tensor of floats, or a part is of another kind.
        ImportError: a file needs a package that is not installed.

    Example:
        >>> from lsgen.likelihoods import FixedGaussian
        >>> space = wrap(torch.nn.Linear(2, 3), dim=2, likelihood=FixedGaussian((3,)))
        >>> space.decode(torch.zeros(5, 2)).mean.shape
        torch.Size([5, 3])

    """
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise TypeError(f"expected a whole number as dim, got {dim!r}")
    prior = StandardNormal(dim) if prior is None else prior
    if not isinstance(prior, Prior):
        raise TypeError(f"expected prior to be a Prior, got {type(prior).__name__}")
    if prior.dim != dim:
        raise ValueError(f"expected a prior of the dimension {dim}, got {type(prior).__name__} of {prior.dim}")
    decode = _part("decoder", decoder)
    owner = _module_of(decode)
    like = None if owner is None else _tensor_of(owner)
    like = next((one for one in (like, _tensor_of(prior)) if one is not None), torch.zeros(()))
    prior = deepcopy(prior).to(like.device, like.dtype).eval()
    with torch.no_grad():
        z = prior().sample((_TRIED,))
        h = _outputs("decoder", decode, "codes", z)
        few = _outputs("decoder", decode, "codes", z[:2])
    family = deepcopy(likelihood) if isinstance(likelihood, Likelihood) else _family(likelihood, h)
    if len(h) != _TRIED or h[0].numel() != prod(family.raw_shape):
        raise ValueError(
            f"expected a decoder that gives {type(family).__name__} of shape {family.shape} its raw outputs "
            f"({_TRIED}, {', '.join(map(str, family.raw_shape))}) at codes {tuple(z.shape)}, got {tuple(h.shape)}"
        )
    _warn(family, h, few, decode, z)
    wrapped = _Decoder(decode, family.raw_shape)
    family = family.to(like.device, like.dtype)
    if encoder is None:
        return LatentSpace(wrapped, family, prior).eval()
    encode = _Encoder(_part("encoder", encoder))
    return EncodableLatentSpace(encode, wrapped, family, prior, _posterior(encode, family, dim, like)).eval()


def has_derivatives(space: LatentSpace) -> bool:
    """Return whether derivatives of the decoder reach its codes, which the geometry of a space is made of."""
    with torch.enable_grad():
        return _flows(space.decoder, space.prior().sample((2,)))


def _part(name: str, part: _Part) -> nn.Module | Callable[[Tensor], Any]:
    if isinstance(part, str | Path):
        part = _read(Path(part))
    if not callable(part):
        raise TypeError(f"expected {name} to be a module, a function or a file, got {type(part).__name__}")
    if (module := _module_of(part)) is not None:
        module.eval()
    return part


def _module_of(part: Any) -> nn.Module | None:
    """Return a module, or the module whose method is given; None for any other function."""
    owner = part if isinstance(part, nn.Module) else getattr(part, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def _read(file: Path) -> nn.Module | Callable[[Tensor], Any]:
    """Return the module in a file; a saved program as a function, as it has no modes.

    Raises:
        ValueError: the file is of no known kind, holds something else, or an operation that cannot be converted.
        ImportError: an ONNX file is read without onnx2torch.

    """
    if not file.is_file():
        raise ValueError(f"expected the file of a decoder or an encoder, got no file at {file}")
    if file.suffix == ".onnx":
        with from_extra("onnx", "an ONNX file is turned into a module with derivatives by onnx2torch"):
            from onnx2torch import convert
        try:
            module: nn.Module = convert(str(file))
        except NotImplementedError as error:
            raise ValueError(
                f"onnx2torch cannot convert an operation in {file}; most are known as torch.onnx.export writes "
                f"them with opset_version=17: {error}"
            ) from error
        return module
    try:
        if file.suffix == ".pt2":
            program = torch.export.load(str(file)).module()
            return lambda given: program(given)
        if file.suffix in (".pt", ".pth", ".ts"):
            scripted: nn.Module = torch.jit.load(str(file), map_location="cpu")
            return scripted
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"expected TorchScript or a saved program in {file}, not a checkpoint: {reason}") from error
    raise ValueError(f"expected a file .pt, .ts, .pt2 or .onnx, got {file}")


def _family(kind: type[Likelihood], h: Tensor) -> Likelihood:
    if not (isinstance(kind, type) and issubclass(kind, Likelihood)):
        raise TypeError(f"expected likelihood to be a Likelihood or its class, got {kind!r}")
    shape, heads = tuple(h.shape[1:]), kind.heads
    if not shape or shape[0] % heads:
        raise ValueError(
            f"expected outputs with {heads} heads for each channel of {kind.__name__}, got {tuple(h.shape)}"
        )
    return kind((shape[0] // heads, *shape[1:]))


def _outputs(name: str, part: Callable[[Tensor], Any], what: str, inputs: Tensor) -> Tensor:
    """Return what a part gives at inputs, or say in one sentence why that is nothing to work with."""
    given = f"{what} {tuple(inputs.shape)}"
    try:
        found = part(inputs)
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"the {name} does not take {given} of {inputs.dtype} on {inputs.device}: {said}") from error
    if not isinstance(found, Tensor) or not found.is_floating_point():
        got = f"a tensor of {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
        raise TypeError(f"expected the {name} to return a tensor of floats at {given}, got {got}")
    if not bool(found.isfinite().all()):
        raise ValueError(f"expected finite outputs of the {name} at {given}, got values that are not")
    return found


def _flows(decode: Any, z: Tensor) -> bool:
    """Return whether outputs depend on codes for autograd."""
    try:
        found = decode(z.clone().requires_grad_())
    except (RuntimeError, TypeError):  # as of a function that asks a tensor for its NumPy array
        return False
    return bool(found.requires_grad)


def _warn(family: Likelihood, h: Tensor, few: Tensor, decode: Any, z: Tensor) -> None:
    alike = torch.finfo(h.dtype).eps ** 0.5
    if few.shape != h[:2].shape or not torch.allclose(few, h[:2], alike, alike * float(h.abs().max())):
        warnings.warn(
            "the decoder gives other outputs at the same codes beside fewer others, as a module in train mode does: "
            "wrap the module itself, which is put into eval mode, or call eval() first",
            stacklevel=3,
        )
    if isinstance(family, Bernoulli) and bool((h >= 0).all() and (h <= 1).all()):
        warnings.warn(
            "all outputs of the decoder are in [0, 1], as if they were probabilities; Bernoulli takes logits: "
            "wrap(lambda z: decoder(z).logit(1e-6), ...)",
            stacklevel=3,
        )
    with torch.enable_grad():
        if not _flows(decode, z[:2]):
            warnings.warn(
                "no derivatives of the decoder reach its codes: traversals and samples work, but geometry needs them",
                stacklevel=3,
            )


def _posterior(encode: _Encoder, family: Likelihood, dim: int, like: Tensor) -> Posterior:
    x = torch.zeros(2, *family.shape, device=like.device, dtype=like.dtype)
    with torch.no_grad():
        raw = _outputs("encoder", encode, "observations", x)
    if raw.shape == (2, 2 * dim):
        return DiagonalNormal()
    if raw.shape == (2, dim):
        return Deterministic()
    raise ValueError(
        f"expected an encoder with outputs (2, {dim}), or a mean and a log variance of that shape, at observations "
        f"{tuple(x.shape)}, got {tuple(raw.shape)} in all"
    )


def _tensor_of(module: nn.Module) -> Tensor | None:
    """Return a parameter or buffer of floats of a module; None if it has none."""
    every = (*module.parameters(), *module.buffers())
    return next((tensor for tensor in every if tensor.is_floating_point()), None)


class _SliceDecoder(nn.Module):
    """Coordinates (N, k) of a plane to the raw outputs of a decoder."""

    origin: Tensor
    basis: Tensor

    def __init__(self, decoder: nn.Module, origin: Tensor, basis: Tensor) -> None:
        super().__init__()
        self.decoder = decoder
        self.register_buffer("origin", origin.detach().clone())
        self.register_buffer("basis", basis.detach().clone())

    @property
    def dim(self) -> int:
        """The dimension k of the plane."""
        return len(self.basis)

    @property
    def heads(self) -> Any:
        """The heads of the decoder."""
        return getattr(self.decoder, "heads", None)

    def forward(self, a: Tensor) -> Tensor:
        """Return the raw outputs."""
        raw: Tensor = self.decoder(self.origin + a @ self.basis)
        return raw


def slice_space(space: LatentSpace, origin: Tensor, basis: Tensor) -> LatentSpace:
    """Return the latent space of the plane through a code along some directions.

    Its prior is N(0, I) in the coordinates of the plane: what a standard normal prior becomes, given that codes lie in
    the plane, if the basis is orthonormal and the origin is orthogonal to it.

    Args:
        space: a latent space of codes in flat space.
        origin: a code (d,).
        basis: independent directions (k, d), k < d.

    Raises:
        TypeError: codes lie on a curved manifold, which a plane leaves.
        ValueError: shapes differ from (d,) and (k, d), values are not finite, or directions depend on each other.

    Example:
        >>> from lsgen.likelihoods import FixedGaussian
        >>> whole = LatentSpace(nn.Linear(3, 4), FixedGaussian((4,)), StandardNormal(3))
        >>> slice_space(whole, torch.zeros(3), torch.eye(3)[:2]).dim
        2

    """
    if not isinstance(space.manifold, Euclidean):
        raise TypeError(f"expected codes in flat space, got those of {space.manifold}, which a plane leaves")
    d = space.dim
    if origin.shape != (d,) or basis.ndim != 2 or basis.shape[1] != d or not 1 <= len(basis) < d:
        raise ValueError(
            f"expected an origin ({d},) and fewer than {d} directions (k, {d}), "
            f"got {tuple(origin.shape)} and {tuple(basis.shape)}"
        )
    if not bool(origin.isfinite().all() & basis.isfinite().all()):
        raise ValueError("expected a finite origin and finite directions, got values that are not")
    if (rank := int(torch.linalg.matrix_rank(basis.double()))) < len(basis):
        raise ValueError(f"expected independent directions, got {len(basis)} of rank {rank}")
    prior = StandardNormal(len(basis)).to(origin.device, origin.dtype)
    sliced = LatentSpace(_SliceDecoder(space.decoder, origin, basis), space.likelihood, prior)
    return sliced.train(space.training)
