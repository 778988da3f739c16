"""Lets `python -m kgen` run the command."""

import sys

from kgen.command import main

sys.exit(main())
