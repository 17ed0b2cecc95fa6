"""The ground floor: modules that every room may import."""
