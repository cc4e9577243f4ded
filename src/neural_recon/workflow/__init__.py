"""What the workflow asks of the package: the plan, how jobs begin, what is stale, records, checks."""
