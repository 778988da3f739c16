"""SavedModels, loaded where kgen is never imported."""

import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

from kgen import export
from tests.models import tiny_text
from tests.models.tiny import gan

pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

LOAD = """
    import sys
    import numpy as np, tensorflow as tf
    serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
    images = serve({arguments})["images"].numpy()
    assert not {{"kgen", "keras_hub", "tensorflow_text"}} & set(sys.modules)
    np.save(sys.argv[2], images)
"""


def served(path, arguments, tmp_path):
    file = tmp_path / "images.npy"
    code = textwrap.dedent(LOAD.format(arguments=arguments))
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run([sys.executable, "-c", code, path, file], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return np.load(file)


@pytest.mark.backends
def test_strings_to_pixels_without_kgen(tmp_path):
    model = tiny_text.model()
    path = tmp_path / "saved_model"
    model.export(path)
    arguments = 'prompts=tf.constant(["a red picture", "A  blue picture", "红"]), seeds=tf.constant([5, 5, 7])'
    images = served(path, arguments, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = model.generate(["a red picture", "A  blue picture", "红"], seed=[5, 5, 7])
    assert images.dtype == np.uint8
    assert np.abs(images.astype(int) - expected).max() <= 1
    model.export(path)  # an older one is replaced
    assert (path / "saved_model.pb").exists()


def test_what_fails_half_way_leaves_the_older_model(tmp_path, monkeypatch, tensorflow_backend):
    def write(model, path):
        os.makedirs(path)
        Path(path, "saved_model.pb").write_text(model)
        if model == "bad":
            raise RuntimeError("half-way")

    monkeypatch.setattr(export, "_write_saved_model", write)
    for model in ("old", "new"):
        export.export_model(model, tmp_path / "saved_model")
        with pytest.raises(RuntimeError, match="half-way"):
            export.export_model("bad", tmp_path / "saved_model")
        assert [path.name for path in tmp_path.rglob("*")] == ["saved_model", "saved_model.pb"]
        assert (tmp_path / "saved_model" / "saved_model.pb").read_text() == model


def test_a_conditional_gan(tmp_path, tensorflow_backend):
    model = gan(num_classes=3)
    model.export(tmp_path / "saved_model")
    images = served(tmp_path / "saved_model", "labels=tf.constant([2, 0]), seeds=tf.constant([1, 8])", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.abs(images.astype(int) - model.generate(labels=[2, 0], seed=[1, 8])).max() <= 1


def test_nothing_else_is_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match="is not a SavedModel"):
        gan().export(tmp_path)
    with pytest.raises(FileExistsError, match="is not a SavedModel"):
        gan().export(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "all of it"


@pytest.mark.parametrize("name", ["x.onnx", "x.TFLITE", "x.keras"])
def test_no_directory_is_named_like_a_file_of_another_format(name, tmp_path):
    with pytest.raises(ValueError, match=rf"export: a SavedModel is a directory, not a {name[1:].lower()} file"):
        gan().export(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_formats(tmp_path, tensorflow_backend):
    with pytest.raises(ValueError, match="format must be one of 'tf_saved_model', 'onnx'.* got 'gguf'"):
        gan().export(tmp_path / "x", format="gguf")
    gan().export(tmp_path / "v1.2", format="tf_saved_model")
    assert (tmp_path / "v1.2" / "saved_model.pb").exists()


def test_a_file_has_the_name_of_its_format(tmp_path):
    with pytest.raises(ValueError, match=r"the path of a file of format 'onnx' must end in .onnx; got .*x.tflite"):
        gan().export(tmp_path / "x.tflite", format="onnx")
    with pytest.raises(ValueError, match="Give the name of a directory, or format='onnx'"):
        gan().export(tmp_path / "x.onnx")
    (tmp_path / "y.xml").mkdir()
    with pytest.raises(FileExistsError, match="y.xml is a directory"):
        gan().export(tmp_path / "y.xml", format="openvino")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs onnx and tf2onnx.*pip install 'keras-kgen\[export\]'"):
        gan().export(tmp_path / "x.onnx", format="onnx")


def test_torch_needs_torch(tmp_path, tensorflow_backend):
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match="KERAS_BACKEND=torch"):
        gan().export(tmp_path / "x.pt2", format="torch")
