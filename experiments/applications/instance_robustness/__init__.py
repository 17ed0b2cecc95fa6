"""Robustness of instance segmentation to corruptions of its images."""
