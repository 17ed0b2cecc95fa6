"""The ground floor: what every room imports, and nothing above it."""
