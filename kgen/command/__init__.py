"""`kgen` in a shell: draw, train, measure, restore, and repeat earlier results."""

from kgen.command.program import main

__all__ = ["main"]
