"""Claims of papers measured again, with our own code; each package is a command."""
