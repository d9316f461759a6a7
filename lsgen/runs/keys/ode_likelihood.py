"""Entries of `ODELikelihood`, the log-likelihood of diffusion models by the probability-flow ODE."""

from __future__ import annotations

from lsgen.runs.keys.entry import Entry

__all__ = ["ODE_LIKELIHOOD"]


ODE_LIKELIHOOD: tuple[Entry, ...] = tuple(
    Entry(
        f"nll_ode{key}",
        f"−log p(x){name}, by the ODE",
        unit,
        "evidence",
        stages=("test",),
        better=better,
        meaning=meaning,
        source="ODELikelihood",
        watched=("test",),
    )
    for key, name, unit, better, meaning in (
        ("", "", "nats", "lower", "of a diffusion model, by the probability-flow ODE"),
        ("_prior", ", the prior's part", "nats", "", "the part of it that is the density of the noise"),
        (
            "_error",
            ", error",
            "nats",
            "lower",
            "root mean square over observations of the standard error of the divergence, where it is estimated",
        ),
        ("_bits_per_dimension", ", code length", "bits per dimension", "lower", "of dequantised data"),
        ("_nats_per_dimension", ", code length", "nats per dimension", "lower", "of continuous data"),
    )
)
