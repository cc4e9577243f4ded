"""Reconstruct the pictures people saw from their fMRI responses."""

from neural_recon import vision_operators

__version__ = "0.1.0"

vision_operators.install()  # before transformers or diffusers, which import torchvision
