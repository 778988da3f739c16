import builtins

import pytest

from kgen.callbacks.summary_writer import summary_writer


def test_what_it_writes(tmp_path):
    pytest.importorskip("tensorboard")
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    with summary_writer("Somebody", tmp_path / "new" / "logs").as_default():
        tf.summary.scalar("number", 0.25, step=7)
    (log,) = (tmp_path / "new" / "logs").iterdir()
    (event,) = [event for event in EventFileLoader(str(log)).Load() if event.summary.value]
    assert event.step == 7 and event.summary.value[0].tag == "number"
    assert float(tf.make_ndarray(event.summary.value[0].tensor)) == 0.25


@pytest.mark.parametrize("missing", ["tensorboard", "tensorflow"])
def test_what_is_missing(tmp_path, monkeypatch, missing):
    really_import = builtins.__import__

    def without(name, *args, **kwargs):
        if name == missing:
            raise ImportError(name)
        return really_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'Somebody: .* pip install "keras-kgen\[tensorboard\]"'):
        summary_writer("Somebody", tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
