"""The configuration: its sections, how it is read, and what is written down of it."""
