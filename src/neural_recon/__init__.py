"""Reconstruct the pictures people saw from their fMRI responses."""

from neural_recon.core import torchvision_operators

__version__ = "0.1.0"

torchvision_operators.install()  # before transformers or diffusers, which import torchvision
