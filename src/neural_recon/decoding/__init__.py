"""Decoders from responses to features: ridge regression, its penalties, and decoders that are kept."""
