"""Published data sets, one module per kind, found by the kind's name."""
