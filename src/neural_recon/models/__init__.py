"""Published networks and their loading, and the table of their weights."""
