import gc
import io
import weakref

import numpy as np
from matplotlib import _pylab_helpers
from PIL import Image

from kgen.visualization.figure import new_figure


def test_a_notebook_gets_a_png():
    figure = new_figure(figsize=(3, 2), dpi=50)
    figure.add_subplot().plot([1, 2])
    with Image.open(io.BytesIO(figure._repr_png_())) as image:
        assert image.format == "PNG" and image.size == (150, 100)
        assert (np.asarray(image.convert("L")) < 128).any()


def test_nothing_else_keeps_it():
    figure = new_figure()
    assert _pylab_helpers.Gcf.get_all_fig_managers() == []
    gone = weakref.ref(figure)
    del figure
    gc.collect()
    assert gone() is None
