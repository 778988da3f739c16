"""A matplotlib figure that a notebook shows, and that nothing else keeps."""

from __future__ import annotations

import io

import matplotlib.figure


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure made without pyplot: it needs no display, and goes when its last name goes.

    A notebook shows it as the last value of a cell; elsewhere `savefig` writes it.
    """

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()
