"""Lets `python -m kgen.evaluate` run the command."""

from kgen.evaluate.command import main

main()
