"""A deep network whose layers are held near those of a guide."""
