"""Memory of temporal graphs in growing batches, with and without PRES."""
