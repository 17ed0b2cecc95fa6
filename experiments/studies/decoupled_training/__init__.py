"""Training on predicted gradients, of modules in a row and of a recurrence."""
