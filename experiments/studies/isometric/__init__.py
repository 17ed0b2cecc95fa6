"""Graph networks whose embeddings have the distances of the graph."""
