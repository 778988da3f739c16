"""`python -m kgen.evaluate generated real`: how close generated images are to real ones."""

from kgen.evaluate.command import main

__all__ = ["main"]
