"""Training of the demo's small models, on scenes that no demo subject sees."""
