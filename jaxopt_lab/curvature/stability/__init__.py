"""When SGD is stable, and what a batch does to the Hessian."""
