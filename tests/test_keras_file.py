import json
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest

from kgen import keras_file
from kgen.keras_file import load_keras_file


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file of a small network; its parts by name."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(2)])
    path = tmp_path_factory.mktemp("saved") / "network.keras"
    network.save(path)
    with zipfile.ZipFile(path) as archive:
        return path, network, {name: archive.read(name) for name in archive.namelist()}


def _written(path, parts, **kwargs):
    with zipfile.ZipFile(path, "w", **kwargs) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@pytest.mark.backends
def test_a_model_comes_back(saved):
    path, network, _ = saved
    loaded = load_keras_file(path)
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), network.predict(x, verbose=0))


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('"units": 16', '"units": 100000000', "asks for a network with at least 400,000,000 numbers in 1 weights"),
        ('"units": 16', '"units": "many"', "Error: "),
        ('"trainable"', '"space": "http://x/y", "trainable"', "its config names another file, space='http://x/y'"),
        ('"trainable"', '"prompt_expander": "hf://x/y", "trainable"', "names another file, prompt_expander='hf://x/y'"),
        ('"Dense"', '"Lambda"', "Error: "),
        ('"module": "keras.layers", "class_name": "Dense"', '"module": "os", "class_name": "system"', "Error: "),
        ('"class_name"', "[" * 200_000 + '"class_name"', "not a Keras model, or is damaged: "),
        ('"class_name"', '"name"', "not a Keras model: 'class_name' is missing"),
    ],
)
def test_a_config_is_refused(saved, tmp_path, old, new, message):
    _, _, parts = saved
    config = parts["config.json"].decode()
    assert old in config
    file = _written(tmp_path / "a.keras", {**parts, "config.json": config.replace(old, new)})
    with pytest.raises(ValueError, match=f"^load_model: .*{re.escape(str(file))}.*{re.escape(message)}") as caught:
        load_keras_file(file)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 800


def test_a_function_of_a_lambda_layer_does_not_run(saved, tmp_path):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x)])
    network.save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="load_model: cannot load '.*a.keras': .*[Ll]ambda"):
        load_keras_file(tmp_path / "a.keras")


def test_many_layers_are_refused(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_file, "_SPARE_WEIGHTS", 10)
    _, _, parts = saved
    config = json.loads(parts["config.json"])
    config["config"]["layers"] += [
        {**config["config"]["layers"][-1], "config": {**config["config"]["layers"][-1]["config"], "name": f"d{i}"}}
        for i in range(20)
    ]
    for layer in config["config"]["layers"][3:]:
        layer["build_config"] = {"input_shape": [None, 2]}
    file = _written(tmp_path / "a.keras", {**parts, "config.json": json.dumps(config)})
    with pytest.raises(ValueError, match="asks for a network with at least .* numbers in 27 weights"):
        load_keras_file(file)


def test_parts_that_lead_out_and_bytes_that_changed(saved, tmp_path):
    path, _, parts = saved
    for name in ("../evil.txt", "/evil.txt"):
        with pytest.raises(
            ValueError, match="a.keras' is refused or damaged: ValueError: the path of a file in it leads out"
        ):
            load_keras_file(_written(tmp_path / "a.keras", {**parts, name: b"x"}))
    content = bytearray(path.read_bytes())
    content[content.rindex(b"HDF") + 2000] ^= 1
    (tmp_path / "b.keras").write_bytes(content)
    with pytest.raises(ValueError, match="'model.weights.h5' does not match its checksum|Bad CRC"):
        load_keras_file(tmp_path / "b.keras")
    (tmp_path / "c.keras").write_bytes(b"no model")
    with pytest.raises(ValueError, match="c.keras' is not a Keras model, or is damaged: BadZipFile"):
        load_keras_file(tmp_path / "c.keras")


def test_what_unpacks_to_far_more_than_its_size_is_refused(saved, tmp_path):
    _, _, parts = saved
    file = _written(
        tmp_path / "a.keras", {**parts, "model.weights.h5": bytes(100 << 20)}, compression=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(
        ValueError, match=r"a.keras' is refused or damaged: ValueError: its [\d,]+ bytes unpack to 104,"
    ):
        load_keras_file(file)


@pytest.mark.parametrize("kind", ["external data", "external link", "soft link", "empty space"])
def test_weights_that_are_elsewhere_are_refused(saved, tmp_path, kind):
    _, _, parts = saved
    with h5py.File(tmp_path / "a.h5", "w") as weights:
        if kind == "external data":
            weights.create_dataset("x", (4,), "f4", external=[("/etc/hostname", 0, 16)])
        elif kind == "empty space":
            weights.create_dataset("x", (1 << 40,), "f4", chunks=(1 << 20,))
        else:
            weights["x"] = h5py.SoftLink("/y") if kind == "soft link" else h5py.ExternalLink("/tmp/other.h5", "/y")
    message = {"external data": "stored in another file", "empty space": "4,398,046,511,104 bytes of weights"}
    changed = {**parts, "model.weights.h5": (tmp_path / "a.h5").read_bytes()}
    with pytest.raises(ValueError, match=message.get(kind, "a link out of the file")):
        load_keras_file(_written(tmp_path / "a.keras", changed))
