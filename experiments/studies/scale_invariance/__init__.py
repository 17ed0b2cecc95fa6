"""Growth of scale-invariant weights, with and without projections."""
