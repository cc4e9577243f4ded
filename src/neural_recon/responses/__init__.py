"""Responses of voxels: their preparation, the agreement of sessions, and their quality."""
