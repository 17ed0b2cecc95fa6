"""Auto-encoders of fixed and random effects of batches."""
