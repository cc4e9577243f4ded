"""The command `neural-recon`."""
