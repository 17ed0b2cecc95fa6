"""Early stopping of meta-learning by the activations on a target (ABE)."""
