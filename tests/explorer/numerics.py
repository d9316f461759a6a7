"""The numerics of pages without a page, and codes that they are compared with Python on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lsgen.explorer
from lsgen.latent.manifolds import Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.manifolds.supports import Simplex

PAGE = Path(lsgen.explorer.__file__).parent / "page"
SCRIPTS = ("colours.js", "charts.js", "neighbours.js", "curves.js", "directions.js", "comparison.js", "marginals.js")
Script = Callable[..., Any]


def runner(page: Any) -> Script:
    """Return what runs a line of JavaScript on arguments that JSON holds, with the numerics of the page."""
    for name in SCRIPTS:
        page.add_script_tag(content=(PAGE / name).read_text())
    page.add_script_tag(
        content="const search = neighbourSearch(), curves = curveNumerics(), directions = directionNumerics();"
        "const comparison = comparisonNumerics(), axes = axisNumerics(), f64 = (list) => Float64Array.from(list);"
        "const made = (z, manifold, cosine) => search.space(new Float32Array(z.flat()), z.length, z[0].length,"
        " manifold, cosine);"
    )

    def run(line: str, **arguments: Any) -> Any:
        names = ", ".join(arguments)
        plain = {name: np.asarray(a).tolist() if hasattr(a, "__array__") else a for name, a in arguments.items()}
        return page.evaluate(
            f"(text) => {{ const {{ {names} }} = JSON.parse(text); return ({line}); }}", json.dumps(plain)
        )

    return run


def codes_on(manifold: Manifold, count: int = 300, dim: int = 6, seed: int = 0) -> torch.Tensor:
    """Codes of half precision on a manifold, some of them twice."""
    z = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
    if isinstance(manifold, PoincareBall):
        length = z.norm(dim=-1, keepdim=True)
        z = 0.97 / manifold.curvature**0.5 * torch.tanh(length / 4) * z / length
    elif isinstance(manifold, Simplex):
        z = torch.softmax(2 * z, -1)
    elif isinstance(manifold, Sphere):
        z = manifold.onto(z)
    z[count // 2 : count // 2 + count // 10] = z[: count // 10]
    if isinstance(manifold, Euclidean):  # a lattice has many ties
        z[count // 4 : count // 2] = (2 * z[count // 4 : count // 2]).round() / 2
    return z.half().float()
