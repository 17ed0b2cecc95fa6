"""Networks that predict gradients."""
