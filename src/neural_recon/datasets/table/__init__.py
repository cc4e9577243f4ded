"""A lab's own data set: a table of trials, betas per session, pictures; imports `core` and `datasets`."""
