"""What several tests use. Tests import from here and the package, never from each other."""
