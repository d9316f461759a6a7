"""Second-order expansions of a map along many directions at once: tracing, and a rule for every operation."""
