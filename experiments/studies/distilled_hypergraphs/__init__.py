"""Networks of hypergraphs distilled into networks of features."""
