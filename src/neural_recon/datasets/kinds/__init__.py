"""The data sets that come along: one module per kind, named as its kind, found by name."""
