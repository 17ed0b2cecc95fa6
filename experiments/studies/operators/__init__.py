"""Neural operators on Poisson's and Darcy's equation."""
