"""Networks that are made smaller, at equal bytes."""
