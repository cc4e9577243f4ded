"""Reconstruct the pictures people saw from their fMRI responses."""

__version__ = "0.1.0"
