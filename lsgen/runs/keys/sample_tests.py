"""Entries of the registry for statistical tests of samples."""

from __future__ import annotations

from lsgen.runs.keys.entry import Entry

__all__ = ["SAMPLE_TESTS"]

# fmt: off
SAMPLE_TESTS: tuple[Entry, ...] = (
    *(
        Entry(f"sample/{key}", name, unit, "quality", meaning=meaning, better=better, summary=summary)
        for key, name, unit, meaning, better, summary in (
            ("tests/{extractor}/c2st_detectable", "detectable accuracy", "", "accuracy that the test finds out with a "
                "power of 80 % at the level 5 %", "", False),
            ("tests/{extractor}/c2st_{classifier}_p", "C2ST p, {classifier}", "", "exact p-value of the accuracy", "",
                True),
            ("tests/{extractor}/c2st_{classifier}_low", "C2ST, lower end, {classifier}", "", "of the exact 95 % "
                "interval of the accuracy", "", False),
            ("tests/{extractor}/c2st_{classifier}_high", "C2ST, upper end, {classifier}", "", "of the same", "", False),
            ("tests/{extractor}/c2st_{classifier}", "C2ST accuracy, {classifier}", "", "held-out accuracy of a "
                "classifier of real against generated; 1/2 where it cannot tell", "lower", True),
            ("tests/{extractor}/ndb", "NDB/K", "", "share of bins whose proportions differ at the level 5 %; up to "
                "0.05 by chance", "lower", True),
            ("tests/{extractor}/ndb_jensen_shannon", "divergence of bins", "nats", "Jensen-Shannon divergence of the "
                "proportions", "lower", False),
            ("tests/{extractor}/ndb_p", "NDB p", "", "p-value of the chi-squared test over all bins", "", False),
            ("memorisation/{extractor}/c_t", "C_T", "", "three-sample statistic: far below 0 where training data are "
                "copied, far above where they are underfitted", "", True),
            ("memorisation/{extractor}/c_t_z", "C_T, standardised", "", "C_T in its standard deviations under the null",
                "", False),
            ("memorisation/{extractor}/c_t_p", "C_T p", "", "its one-sided p-value, small where data are copied", "",
                False),
            ("memorisation/{extractor}/authpct", "AuthPct", "%", "authentic samples; to be compared with held-out data",
                "", True),
            ("memorisation/{extractor}/authpct_held_out", "AuthPct of held-out data", "%", "the same of held-out data",
                "", True),
            ("memorisation/{extractor}/authpct_low", "AuthPct, lower end", "%", "of its exact 95 % range", "", False),
            ("memorisation/{extractor}/authpct_high", "AuthPct, upper end", "%", "of the same", "", False),
        )
    ),
    Entry("sample/tests", "", section="quality", kind="npz", meaning="z of every bin, and the provenance"),
    Entry("sample/memorisation", "", section="quality", kind="npz",
        meaning="z of every cell, authentic samples, and the provenance"),
)
# fmt: on
