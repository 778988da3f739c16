"""`kgen` in a shell: draw, train, measure, restore, and repeat what was done."""

from kgen.command.program import main

__all__ = ["main"]
