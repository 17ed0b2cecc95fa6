"""Networks that predict the parameters of others."""
