"""The loss along directions."""
