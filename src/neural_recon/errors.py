"""The one exception for what a user can mend."""


class InputError(Exception):
    """A file, table or setting of the user's is not what it must be.

    The message is one sentence (two at most) with the file, what was expected, what was found and what
    to do; programs print it without a traceback.
    """
