"""A matplotlib figure that a notebook shows and nothing else keeps alive."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(**options: Any) -> Figure:
    """A matplotlib figure made without pyplot: it needs no display, and is freed when nothing refers to it.

    A notebook shows it as the last value of a cell; elsewhere `savefig` writes it.

    Args:
        **options: arguments of `matplotlib.figure.Figure`.
    """
    return _figure_class()(**options)


@functools.cache
def _figure_class():
    # Imported late: saving images does not need matplotlib.
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def _repr_png_(self) -> bytes:
            stream = io.BytesIO()
            self.savefig(stream, format="png")
            return stream.getvalue()

    return ShownFigure
