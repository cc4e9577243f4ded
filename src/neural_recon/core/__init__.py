"""What everything stands on: the error for users, files that appear whole, random streams, backends."""
