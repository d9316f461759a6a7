"""Entries of the registry for phase transitions of diffusion models."""

from __future__ import annotations

from lsgen.runs.keys.entry import Entry

__all__ = ["PHASE_TRANSITIONS"]

_T = "t of Ornstein-Uhlenbeck"

# fmt: off
PHASE_TRANSITIONS: tuple[Entry, ...] = (
    *(
        Entry(f"phase/{key}", name, _T, "phases", meaning=meaning, summary="_" not in key)
        for key, name, meaning in (
            ("speciation", "speciation", "time at which clones of the model end on one side of the data in 0.775 of "
                "pairs"),
            ("speciation_exact", "speciation, exact denoiser", "the same of the exact denoiser of the training data"),
            ("speciation_spectral", "speciation, covariance", "t_S = log(L)/2, L the top eigenvalue of the covariance"),
            ("collapse", "collapse", "time at which clones end nearest to one training observation in half of pairs"),
            ("collapse_exact", "collapse, exact denoiser", "the same of the exact denoiser of the training data"),
            ("symmetry_breaking", "symmetry breaking", "time at which the centre of the data becomes unstable"),
            ("symmetry_breaking_exact", "symmetry breaking, exact denoiser", "the same of the exact denoiser of the "
                "training data"),
        )
    ),
    Entry("phase/agreement", "Clones that agree", section="phases", kind="image",
        meaning="shares of pairs on the same side, and at the same observation, beside those of the exact denoiser"),
    Entry("phase/centre", "Variance given the centre", section="phases", kind="image",
        meaning="largest variance of clean observations given the centre of the data, beside that at which it breaks"),
    Entry("phase/measurements", "", section="phases", kind="npz", meaning="times and curves of both figures"),
)
# fmt: on
