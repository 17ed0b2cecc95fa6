"""The learning rate of a run before it is trained, by curvature and a range test."""
