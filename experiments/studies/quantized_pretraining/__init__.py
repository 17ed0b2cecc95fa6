"""A transformer trained with rounded products, gradients and moments."""
