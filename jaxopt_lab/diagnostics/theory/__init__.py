"""Networks and students of which the mean is known."""
