"""Pre-training of a detector by boxes and embeddings of objects."""
