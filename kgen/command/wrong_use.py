"""The error for wrong use of a command."""


class WrongUse(Exception):
    """The command line asks for something impossible: the process exits with 2."""
