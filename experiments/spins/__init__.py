"""Networks of +-1 spins: energies, Monte Carlo, and their mean-field theories."""
