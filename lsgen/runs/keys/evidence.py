"""Entries of log-likelihoods: of `EvidenceMetrics`, and of diffusion models by the ODE of `ODELikelihood`."""

from __future__ import annotations

from lsgen.runs.keys.entry import Entry

__all__ = ["EVIDENCE"]


_ODE_LIKELIHOOD: tuple[Entry, ...] = tuple(
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

EVIDENCE: tuple[Entry, ...] = (
    *(
        Entry(
            key,
            name,
            "nats",
            "evidence",
            meaning=meaning,
            stages=("test",),
            better="lower",
            source="EvidenceMetrics",
            watched=("test",),
        )
        for key, name, meaning in (
            ("nll", "−log p(x)", "importance-sampled"),
            ("nll_annealed", "−log p(x), annealed", "by annealed importance sampling, where temperatures are given"),
            ("nll_exact", "−log p(x), exact", "the sum over all discrete codes, where `most_codes` is given"),
            ("amortisation_gap", "amortisation gap", "what the best posterior of each observation gains"),
            ("approximation_gap", "approximation gap", "what the best posterior of the family lacks, from below"),
        )
    ),
    *_ODE_LIKELIHOOD,
    Entry(
        "nll_effective_samples",
        "effective samples of −log p(x)",
        "",
        "evidence",
        stages=("test",),
        better="higher",
        meaning="mean effective sample size; a handful of thousands is a poor estimate",
        source="EvidenceMetrics",
        watched=("test",),
    ),
)
