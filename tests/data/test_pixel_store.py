import sys

import numpy as np

from kgen.data.pixel_store import copy_rows, pixel_store

module = sys.modules["kgen.data.pixel_store"]


def test_a_small_store_is_in_memory():
    store = pixel_store((2, 4, 4, 3))
    assert type(store) is np.ndarray and store.shape == (2, 4, 4, 3) and store.dtype == np.uint8


def test_a_large_store_is_a_file_without_a_name(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "IN_MEMORY_LIMIT", 100)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = pixel_store((5, 4, 4, 3))
    assert isinstance(store, np.memmap)
    assert sys.platform == "win32" or not list(tmp_path.iterdir())  # nothing is left behind, whatever happens
    store[:] = np.arange(5)[:, None, None, None]
    copy = copy_rows(store, np.array([4, 0, 4]))
    assert isinstance(copy, np.memmap)
    assert copy[:, 0, 0, 0].tolist() == [4, 0, 4]
