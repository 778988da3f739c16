"""What the user of a command got wrong."""


class WrongUse(Exception):
    """The command line asks for what does not go: the process ends with 2."""
