"""Exports a model to a file that another library can run, without kgen and Keras."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from typing import Any

import keras

from kgen.files import PARTIAL, whole_directory, write_whole
from kgen.text.tokenizer_file import tokenizer_json
from kgen.types import Tensor

# For each format except SavedModel, which is a directory: the file's ending, and the packages that write it.
_FILES = {
    "onnx": (".onnx", ("onnx", "tf2onnx")),
    "litert": (".tflite", ("tensorflow",)),
    "openvino": (".xml", ("openvino",)),
    "torch": (".pt2", ("torch",)),
}
FORMATS = ("tf_saved_model", *_FILES)
# Next to the file of a text-to-image model, with the same name: how prompts become token ids.
_TOKENIZER, _CLEANER = ".tokenizer.json", ".prompt_cleaner.json"
# A directory must not be named like a file.
_ENDINGS = {".litert", ".pb", ".keras", ".h5", ".hdf5", ".pt", ".safetensors", ".zip"} | {
    ending for ending, _ in _FILES.values()
}


def export_model(model: Any, path: str | os.PathLike, format: str = "tf_saved_model") -> None:
    """Writes a model in one of `FORMATS`.

    TensorFlow makes the graphs of all formats except "torch". On another backend the model is saved to a temporary
    file, and a TensorFlow process loads and exports it.

    Args:
        model: an `ImageModel` with `served_layers()`; with `serve(*inputs)` and `serving_signature()` for a SavedModel,
            and `serve_tensors(inputs)` and `tensor_signature()` for the other formats.
        path: directory or file to write; replaced if it is of this format.
        format: one of `FORMATS`.

    Raises:
        FileExistsError: if `path` already exists and is something else.
        ImportError: if a package that writes the format is not installed.
        ValueError: for any other format, or a path with the wrong ending.
        RuntimeError: if the format cannot express what the model does.
    """
    path = os.path.expanduser(path)
    check_target(path, format)
    parent = os.path.dirname(os.path.abspath(path))
    os.makedirs(parent, exist_ok=True)
    if format == "tf_saved_model":
        with whole_directory(path) as partial:
            _write(model, os.fspath(partial), format)
        return
    # A separate folder for the files until they are complete.
    with tempfile.TemporaryDirectory(dir=parent, prefix=f"{os.path.basename(path)}.", suffix=PARTIAL) as folder:
        _write(model, os.path.join(folder, os.path.basename(path)), format)
        names = sorted(os.listdir(folder))
        # The file comes last: everything it needs is there by then.
        names.sort(key=lambda name: name == os.path.basename(path))
        for name in names:
            os.replace(os.path.join(folder, name), os.path.join(parent, name))
    for ending in (_TOKENIZER, _CLEANER):
        # Left by an older model that treated prompts differently.
        if os.path.basename(os.path.splitext(path)[0]) + ending not in names:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.splitext(path)[0] + ending)


def check_target(path: str | os.PathLike, format: str) -> None:
    """Checks all that `export_model` needs beside the model; raises the same errors."""
    path = os.fspath(path)
    if format not in FORMATS:
        raise ValueError(f"export: format must be one of {', '.join(map(repr, FORMATS))}; got {format!r}.")
    if format == "tf_saved_model":
        _check_directory(path)
        packages: tuple[str, ...] = ("tensorflow",)
    else:
        ending, packages = _FILES[format]
        if os.path.splitext(path)[1] != ending:
            raise ValueError(f"export: the path of a file of format {format!r} must end in {ending}; got {path}.")
        if os.path.isdir(path):
            raise FileExistsError(f"export: {path} is a directory; choose another name.")
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ImportError(
            f"export: the format {format!r} needs {' and '.join(missing)}, currently not installed: "
            "pip install 'keras-kgen[export]'"
        )
    backend = keras.backend.backend()
    if format == "torch" and backend != "torch":
        raise ValueError(
            f"export: the format 'torch' needs Keras on torch, but this process runs on {backend}. Set "
            "KERAS_BACKEND=torch before Python starts."
        )


def _write(model, path, format):
    if format != "torch" and keras.backend.backend() != "tensorflow":
        _write_elsewhere(model, path, format)
    elif format == "tf_saved_model":
        _write_saved_model(model, path)
    else:
        _write_file(model, path, format)


def _check_directory(path):
    ending = os.path.splitext(path)[1].lower()
    if ending in _ENDINGS:
        formats = [name for name, (own, _) in _FILES.items() if own == ending]
        hint = f"Give the name of a directory{f', or format={formats[0]!r}' if formats else ''}."
        raise ValueError(f"export: a SavedModel is a directory, not a {ending} file; got the path {path}. {hint}")
    saved_model = os.path.exists(os.path.join(path, "saved_model.pb"))
    if os.path.isfile(path) or (os.path.isdir(path) and os.listdir(path) and not saved_model):
        raise FileExistsError(f"export: {path} exists and is not a SavedModel; choose another directory.")


def _write_saved_model(model, path):
    import tensorflow as tf

    # Keras' ExportArchive would store the optimizers' state too; this module holds what the graph reads.
    module = tf.Module()
    module.parts = _parts(model)
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in model.serving_signature()]
    serve = tf.function(model.serve, input_signature=signature, autograph=False)
    tf.saved_model.save(module, path, signatures={"serving_default": serve})


def _write_file(model, path, format):
    signature = model.tensor_signature()
    if format == "torch" and any(None in spec.shape[1:] for spec in signature.values()):
        raise RuntimeError(
            f"export: this {type(model).__name__} takes images of any size, but torch.export would fix the size. The "
            "formats 'onnx' and 'openvino' leave it open."
        )
    options = {"dynamic_shapes": [(_dynamic(signature),)]} if format == "torch" else {}
    try:
        _Served(model).export(path, format=format, verbose=False, input_signature=[signature], **options)
    except Exception as error:
        raise RuntimeError(
            f"export: Keras could not write a {type(model).__name__} in the format {format!r}: "
            f"{type(error).__name__}: {str(error)[-2000:]}"
        ) from error
    if format == "litert":
        _check_litert(model, path)
    if hasattr(model, "text_encoder"):
        _write_tokenizer(model, os.path.splitext(path)[0])


def _dynamic(signature):
    """The dimensions that torch should leave open: those open in the signature, as far as the operations allow."""
    import torch

    return {
        name: {axis: torch.export.Dim.AUTO for axis, side in enumerate(spec.shape) if side is None}
        for name, spec in signature.items()
    }


def _check_litert(model, path):
    """Refuses a file with TensorFlow operations: Keras writes it, but LiteRT's own runtime cannot run it."""
    with open(path, "rb") as file:
        operations = sorted(set(re.findall(rb"Flex([A-Z]\w+)", file.read())))
    if operations:
        raise RuntimeError(
            f"export: this {type(model).__name__} needs TensorFlow's {b', '.join(operations).decode()}, which LiteRT's "
            "runtime does not have. Use the format 'onnx' or 'openvino'."
        )


def _write_tokenizer(model, stem):
    described = tokenizer_json(model.text_encoder)
    if described is None:
        warnings.warn(
            f"export: {_TOKENIZER[1:]} was not written, because it can describe only a single tokenizer of word "
            "pieces. Make the token ids with model.text_encoder.tokenize(captions).",
            stacklevel=4,
        )
    else:
        write_whole(stem + _TOKENIZER, described)
    cleaner = getattr(model, "prompt_cleaner", None)
    if cleaner is not None and any(cleaner.patterns().values()):
        patterns = json.dumps(cleaner.patterns(), ensure_ascii=False, indent=1)
        write_whole(stem + _CLEANER, patterns)


class _Served(keras.Model):
    """The model in the form that Keras exports: the file does what `call` does."""

    def __init__(self, model: Any):
        super().__init__(name="served")
        self.parts = _parts(model)
        self.serve_tensors = model.serve_tensors
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        # In ONNX and OpenVINO graphs, an input and an output cannot share a name.
        outputs = self.serve_tensors(inputs)
        return {f"output_{name}" if name in inputs else name: value for name, value in outputs.items()}


def _parts(model):
    return [*model.served_layers(), *getattr(model, "postprocessing", ())]


def _write_elsewhere(model, path, format):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.keras")
        model.save(file)
        code = (
            "import contextlib, importlib, sys, keras, kgen.models\n"
            "for name in sys.argv[4:]:\n"
            "    with contextlib.suppress(ImportError): importlib.import_module(name)\n"
            "keras.models.load_model(sys.argv[1], compile=False).export(sys.argv[2], format=sys.argv[3])"
        )
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", code, file, path, format, *_modules_of_users()]
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        hint = ""
        if "__main__" in _modules_of_users():
            hint = " Put classes of your own in a module: another process must import them."
        raise RuntimeError(f"export: TensorFlow could not export the model.{hint}\n{result.stderr[-2000:]}")


def _modules_of_users():
    """The modules with classes that users registered with Keras."""
    modules = {getattr(each, "__module__", None) or "" for each in keras.saving.get_custom_objects().values()}
    return sorted(name for name in modules if name.split(".")[0] not in ("", "kgen", "keras", "keras_hub"))
