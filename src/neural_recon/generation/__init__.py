"""Generators: from predicted features to pictures, and pictures on disk."""
