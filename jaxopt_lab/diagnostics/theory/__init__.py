"""Theory: networks and students with known means."""
