"""Connection and curvature of a metric."""
