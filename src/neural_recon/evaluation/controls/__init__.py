"""Controls: what scores reach without what they are said to measure."""
