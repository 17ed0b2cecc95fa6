"""How sharp a point is, and how noisy its gradients."""
