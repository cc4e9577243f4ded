"""The kinds of generators that come along, one module each."""
