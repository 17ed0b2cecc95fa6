"""What compressed optimizer state costs and saves in training."""
