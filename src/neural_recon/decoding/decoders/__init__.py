"""The kinds of decoders that come along: a module each."""
