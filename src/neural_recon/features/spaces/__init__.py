"""The kinds of feature spaces that come along: a module each."""
