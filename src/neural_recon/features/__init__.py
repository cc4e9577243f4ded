"""Feature spaces: their names, their extraction by models, and the store of chunks."""
