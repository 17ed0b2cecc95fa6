"""Entropy of attention against norms of queries, and norm-aware linear attention."""
