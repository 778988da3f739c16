"""A model as one SavedModel, which needs TensorFlow, and neither kgen nor Keras."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import keras

# Endings of files of other formats; a SavedModel is a directory.
_FILES = (".onnx", ".tflite", ".litert", ".pb", ".keras", ".h5", ".hdf5", ".xml", ".pt", ".pt2", ".safetensors", ".zip")


def export_saved_model(model: Any, path: str | os.PathLike, format: str = "tf_saved_model") -> None:
    """Writes `model.serve` as a SavedModel directory.

    The graph is made by TensorFlow. On another backend the model is saved to a temporary file, and a TensorFlow
    process loads and exports it.

    Args:
        model: an `ImageModel` with `serve(*inputs)`, `serving_signature()` and `served_layers()`.
        path: directory to write; replaced if it is a SavedModel.
        format: "tf_saved_model".

    Raises:
        FileExistsError: if `path` is a file, or a directory of something else.
        ImportError: if TensorFlow is not installed.
        ValueError: for another format, or a path that ends like a file of another format.
    """
    path = os.fspath(path)
    if format != "tf_saved_model":
        raise ValueError(f"export: format must be 'tf_saved_model', the only one that kgen writes; got {format!r}.")
    ending = os.path.splitext(path)[1].lower()
    if ending in _FILES:
        raise ValueError(
            f"export: kgen writes a SavedModel, which is a directory, and no {ending} file; got the path {path}. Give "
            "the name of a directory."
        )
    if os.path.isfile(path) or (os.path.isdir(path) and os.listdir(path) and not _is_saved_model(path)):
        raise FileExistsError(f"export: {path} exists and is no SavedModel; choose another directory.")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "export: a SavedModel is written by TensorFlow, which is not installed: pip install tensorflow"
        ) from error
    if keras.backend.backend() != "tensorflow":
        return _export_elsewhere(model, path)
    # A name of its own for the directory until it is whole.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(path))) as parent:
        written = os.path.join(parent, "saved_model")
        # Keras' ExportArchive would store the optimizers' state too; this module holds what the graph reads.
        module = tf.Module()
        module.parts = [*model.served_layers(), *getattr(model, "postprocessing", ())]
        serve = tf.function(model.serve, input_signature=model.serving_signature(), autograph=False)
        tf.saved_model.save(module, written, signatures={"serving_default": serve})
        if os.path.isdir(path):
            shutil.rmtree(path)
        os.replace(written, path)


def _is_saved_model(path):
    return os.path.exists(os.path.join(path, "saved_model.pb"))


def _export_elsewhere(model, path):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.keras")
        model.save(file)
        code = "import sys, keras, kgen.models; keras.models.load_model(sys.argv[1], compile=False).export(sys.argv[2])"
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(sys.path)}
        result = subprocess.run(
            [sys.executable, "-c", code, file, os.path.abspath(path)], env=environment, capture_output=True, text=True
        )
    if result.returncode:
        raise RuntimeError(f"export: TensorFlow could not export the model:\n{result.stderr[-2000:]}")
