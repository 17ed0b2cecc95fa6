"""SHADE, weight decay and dropout at several sizes of data."""
