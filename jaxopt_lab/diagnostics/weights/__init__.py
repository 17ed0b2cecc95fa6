"""What the weights and activations alone tell."""
