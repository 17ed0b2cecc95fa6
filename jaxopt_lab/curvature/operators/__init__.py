"""Linear operators: curvature matrices by their products with vectors."""
