"""What logged numbers are called in front of a reader, and how those that belong together stand in one row.

A key such as `geometry/log_volume/q50` is stable and made for programs; a table for people says "log-volume, all axes"
and has the quantiles side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LEVELS", "Quantity", "grouped", "in_reading_order", "named", "share_measured"]

LEVELS = ("q05", "q25", "q50", "q75", "q95")

_NAMES: tuple[tuple[str, str, str], ...] = (
    ("elbo", "ELBO", "nats"),
    ("reconstruction", "reconstruction, −log p(x|z)", "nats"),
    ("kl", "KL of q(z|x) from p(z)", "nats"),
    ("active_units", "active units", ""),
    ("bits_per_dimension", "code length", "bits per dimension"),
    ("nats_per_dimension", "code length", "nats per dimension"),
    (r"kl_dimension/0*(\d+)", "KL of z{}", "nats"),
    ("factor/(.+)/r2", "{} from all latents", "R²"),
    ("factor/(.+)/r2_single", "{} from its best latent", "R²"),
    ("loss", "loss", ""),
    ("disentanglement/mig", "mutual information gap", ""),
    ("disentanglement/sap_r2", "SAP by correlation", ""),
    ("disentanglement/sap_svm", "SAP by support vector machines", ""),
    ("disentanglement/factor_vae", "FactorVAE score", ""),
    ("disentanglement/beta_vae", "β-VAE score", ""),
    ("disentanglement/irs", "IRS", ""),
    ("disentanglement/dci/(.+)", "DCI {}", ""),
    ("disentanglement/dci_5_rounds/(.+)", "DCI {} by 5 rounds of trees", ""),
    ("disentanglement/infomec/(.+)", "InfoMEC {}", ""),
    ("disentanglement/(modularity|explicitness)", "{}", ""),
    ("aggregate/mutual_information", "mutual information of x and z", "nats"),
    ("aggregate/total_correlation", "total correlation of q(z)", "nats"),
    ("aggregate/total_correlation_normal", "total correlation of a normal q(z)", "nats"),
    ("aggregate/dimension_wise_kl", "KL of the marginals of q(z)", "nats"),
    ("aggregate/marginal_kl", "KL of q(z) from p(z)", "nats"),
    ("aggregate/own_share", "share of its own posterior at a code", ""),
    ("geometry/active_axes", "active axes", ""),
    ("geometry/rank", "rank of G", ""),
    ("geometry/log10_condition_number", "condition number of G", "log₁₀"),
    ("geometry/log_volume", "log-volume, all axes", "nats"),
    ("geometry/log_volume_active", "log-volume, active axes", "nats"),
    ("geometry/path_ratio", "straight path over distance", ""),
    ("geometry/eigenvalue", "eigenvalues of G, medians", ""),
    ("geometry/eigenvalue_cov", "eigenvalues of G·Cov(z), medians", ""),
    ("curvature/scalar", "scalar curvature, all axes", ""),
    ("curvature/active", "scalar curvature, active axes", ""),
    ("curvature/plane", "scalar curvature, plane", ""),
    ("curvature/piecewise_linear", "decoder is piecewise linear", ""),
    ("geodesic/pairs", "geodesics looked for", ""),
    ("geodesic/converged", "geodesics converged", ""),
    ("geodesic/length", "length of geodesics", ""),
    ("geodesic/energy", "energy of geodesics", ""),
    ("geodesic/speed_variation", "variation of their speed", ""),
    ("geodesic/linear_ratio", "straight over geodesic length", ""),
    ("geodesic/spherical_ratio", "spherical over geodesic length", ""),
    ("geodesic/asymmetry", "d(a, b) less d(b, a)", ""),
    ("geodesic/spread", "spread over the starts", ""),
    ("geometry/distance/geodesic", "geodesic distance", ""),
    ("geometry/distance/euclidean", "Euclidean distance of codes", ""),
    ("geometry/distance/rank_correlation", "rank correlation with Euclidean", ""),
    ("geometry/frechet/variance", "Fréchet variance", ""),
    ("geometry/frechet/shift", "shift of the mean, in its root", ""),
)


@dataclass
class Quantity:
    """A row of a table of logged numbers.

    Attributes:
        key: what the logged keys have in common.
        name: what it is called.
        unit: its unit; empty where it has none, or where that is not known.
        levels: level -> value, of `LEVELS`, where quantiles were logged.
        not_finite: how many values were in no quantile; None where no quantiles were logged.
        values: the values themselves where they were logged: one, or one for each number NN of KEY/NN.

    """

    key: str
    name: str
    unit: str
    levels: dict[str, float] = field(default_factory=dict)
    not_finite: float | None = None
    values: list[float] = field(default_factory=list)


def named(key: str) -> tuple[str, str]:
    """Return the name of a logged quantity and its unit; the key itself, and no unit, where it has no other name."""
    for pattern, name, unit in _NAMES:
        if (found := re.fullmatch(pattern, key)) is not None:
            return name.format(*found.groups()), unit
    return key, ""


def share_measured(config: Mapping[str, Any]) -> str:
    """Return over how much of the validation and test sets a run's values are; nothing where it is all of them.

    Args:
        config: the run's config, whose trainer may limit batches: a whole number counts them, a fraction is a share.

    """
    trainer = config.get("trainer")
    found = []
    for stage in ("val", "test"):
        limit = trainer.get(f"limit_{stage}_batches") if isinstance(trainer, Mapping) else None
        if isinstance(limit, float) and limit < 1:
            found.append(f"{stage} over {limit:.4g} of its batches")
        elif isinstance(limit, int):
            found.append(f"{stage} over {limit} batches")
    return ", ".join(found)


def in_reading_order(keys: Iterable[str]) -> list[str]:
    """Return keys with the main ones first, those without a name last, each once."""
    patterns = [pattern for pattern, _, _ in _NAMES]

    def place(key: str) -> int:
        return next((i for i, pattern in enumerate(patterns) if re.fullmatch(pattern, key)), len(patterns))

    return sorted(dict.fromkeys(keys), key=place)


def grouped(metrics: Mapping[str, float]) -> list[Quantity]:
    """Return logged numbers in rows, in their order: quantiles of one thing together, numbered values together."""
    rows: dict[str, Quantity] = {}
    counted = {key.removesuffix("/not_finite") for key in metrics if key.endswith("/not_finite")}
    for key, value in metrics.items():
        stem, _, last = key.rpartition("/")
        together = stem if stem in counted or last.isdecimal() else key
        row = rows.setdefault(together, Quantity(together, *named(together)))
        if stem not in counted:
            row.values.append(value)
        elif last == "not_finite":
            row.not_finite = value
        else:
            row.levels[last] = value
    return list(rows.values())
