"""A matplotlib figure that a notebook shows, and that nothing else keeps."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(**options: Any) -> Figure:
    """A matplotlib figure made without pyplot: it needs no display, and goes when its last name goes.

    A notebook shows it as the last value of a cell; elsewhere `savefig` writes it.

    Args:
        **options: of `matplotlib.figure.Figure`.
    """
    return _figure_class()(**options)


@functools.cache
def _figure_class():
    # Who saves images need not wait for matplotlib.
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def _repr_png_(self) -> bytes:
            stream = io.BytesIO()
            self.savefig(stream, format="png")
            return stream.getvalue()

    return ShownFigure
