"""The demo: a small simulated data set, and the models that come with it."""
