"""Statistics of normalizations under shift, in streams sorted by class."""
