"""Parts of the analysis of codes: each computes, logs and draws one thing."""
