"""Networks of sines, and their initializers."""
