import numpy as np
import pytest

import kgen.data.rendered as module
from kgen.data.rendered import check_packages, rendered

SQUARE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path fill="{}" d="M0 0h4v8H0z"/></svg>'
COLORS = ["red", "lime"]


def drawn(directory, selection="two", background="white"):
    return rendered(
        "squares", lambda i: SQUARE.format(COLORS[i]), 2, selection, [], 8, background, directory, verbose=0
    )


@pytest.fixture(autouse=True)
def installed():
    pytest.importorskip("resvg_py")


def test_drawings_on_a_background_or_on_none(tmp_path):
    images = drawn(tmp_path, background="blue")
    np.testing.assert_array_equal(images[:, 0, 0], [[255, 0, 0], [0, 255, 0]])
    np.testing.assert_array_equal(images[:, 0, 7], [[0, 0, 255]] * 2)
    cut_out = drawn(tmp_path, background=None)
    np.testing.assert_array_equal(cut_out[:, 0, 0], [[255, 0, 0, 255], [0, 255, 0, 255]])
    assert (cut_out[:, :, 4:] == 0).all()


def test_pixels_are_rendered_once_and_again_if_damaged(tmp_path, monkeypatch):
    first = drawn(tmp_path)
    (file,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_pixels", None)  # would fail if called
        np.testing.assert_array_equal(drawn(tmp_path), first)
    drawn(tmp_path, selection="others")
    assert len(list(tmp_path.iterdir())) == 2
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.warns(UserWarning, match="squares: the cache file .* is damaged .*; rendering again"):
        np.testing.assert_array_equal(drawn(tmp_path), first)


def test_missing_packages_are_named():
    with pytest.raises(
        ImportError, match='draw: needs the packages Pillow, no-such; missing: no-such. `pip install "ke'
    ):
        check_packages("draw", {"PIL": "Pillow", "no_such": "no-such"})
