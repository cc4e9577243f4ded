"""Data sets: trials, voxels, pictures and captions, and the files they come in."""
