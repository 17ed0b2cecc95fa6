"""Evolution against random search in the space of EvoNorm's layers."""
