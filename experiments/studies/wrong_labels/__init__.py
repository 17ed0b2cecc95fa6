"""Nested dropout, co-teaching and SAM with wrong labels."""
