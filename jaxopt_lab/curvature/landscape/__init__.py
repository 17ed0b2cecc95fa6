"""Loss landscapes: the loss along directions."""
