"""Presets that are somewhere else. The hubs are stood in for by their functions, with the signatures that they have."""

import inspect
import shutil
import sys
from functools import partial
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kgen.command.model_files import class_of, load_model
from kgen.models import VAE, TextToImage
from kgen.presets import is_preset, load_preset, preset_description, upload_preset
from kgen.presets.hub import fetched
from tests.models import tiny


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "cat"
    tiny.vae().save_to_preset(path)
    return path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """What is fetched stays in a directory of the test."""
    monkeypatch.setattr(keras.utils, "get_file", partial(keras.utils.get_file, cache_dir=str(tmp_path / "home")))


class Hub:
    """A package of functions that are noted, and checked against those of the real package if it is installed."""

    def __init__(self, name, monkeypatch, **results):
        self.calls = []
        real = sys.modules.get(name) or pytest.importorskip(name)
        functions = {
            each: self._noting(each, inspect.signature(getattr(real, each)), results[each]) for each in results
        }
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**functions))

    def _noting(self, name, signature, result):
        def function(*args, **kwargs):
            signature.bind(*args, **kwargs)
            self.calls.append((name, args, kwargs))
            if isinstance(result, Exception):
                raise result
            return result

        return function


# === To fetch ===
def test_from_hugging_face(directory, monkeypatch):
    hub = Hub("huggingface_hub", monkeypatch, snapshot_download=str(directory))
    model = VAE.from_preset("hf://me/cat")
    assert isinstance(model, VAE) and len(hub.calls) == 1
    assert preset_description("hf://me/cat@v2")["class"] == "kgen>VAE"
    assert [call[1:] for call in hub.calls] == [(("me/cat",), {"revision": None}), (("me/cat",), {"revision": "v2"})]


def test_from_kaggle(directory, monkeypatch):
    hub = Hub("kagglehub", monkeypatch, model_download=str(directory))
    assert isinstance(load_preset("kaggle://me/cat/keras/small"), VAE)
    assert isinstance(load_preset("kaggle://me/cat/keras/small/3"), VAE)
    assert [call[1] for call in hub.calls] == [("me/cat/keras/small",), ("me/cat/keras/small/3",)]


@pytest.mark.parametrize("format", ["zip", "gztar"])
def test_from_an_archive(format, directory, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "cat"), format, directory.parent, directory.name)
    model = load_preset(f"file://{archive}")
    for ours, theirs in zip(model.get_weights(), load_preset(directory).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_archive_of_something_else(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("all of it")
    archive = shutil.make_archive(str(tmp_path / "thesis"), "zip", tmp_path / "thesis")
    with pytest.raises(ValueError, match="cannot fetch file://.*thesis.zip: .*contains 0 files preset.json, not one"):
        load_preset(f"file://{archive}")


def test_what_cannot_be_fetched(monkeypatch, tmp_path):
    Hub("huggingface_hub", monkeypatch, snapshot_download=OSError("404 not found"))
    with pytest.raises(ValueError, match="from_preset: cannot fetch hf://me/none: OSError: 404 not found"):
        load_preset("hf://me/none")
    with pytest.raises(ValueError, match="cannot fetch file://.*none.zip"):
        load_preset(f"file://{tmp_path}/none.zip")


@pytest.mark.parametrize("address", ["hf://cat", "hf://me/cat/small", "kaggle://me/cat", "s3://me/cat", "hf://"])
def test_what_is_no_address(address):
    with pytest.raises(ValueError, match=f"an address must be hf://owner/name, .*; got '{address}'"):
        fetched(address)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="need huggingface_hub: pip install huggingface_hub"):
        load_preset("hf://me/cat")


def test_whether_it_is_a_preset_is_not_asked_of_a_hub():
    # An encoder of KerasHub may be at such an address.
    assert not is_preset("hf://me/cat")


def test_the_command_takes_an_address_and_asks_once(directory, monkeypatch):
    hub = Hub("huggingface_hub", monkeypatch, snapshot_download=str(directory))
    assert class_of("hf://me/cat") == "VAE" and isinstance(load_model("hf://me/cat"), VAE)
    assert len(hub.calls) == 1


def test_a_text_to_image_model_is_fetched_once(trained_text_to_image, tmp_path, monkeypatch):
    keras.saving.load_model(trained_text_to_image).save_to_preset(tmp_path / "cat")
    hub = Hub("huggingface_hub", monkeypatch, snapshot_download=str(tmp_path / "cat"))
    assert isinstance(TextToImage.from_preset("hf://me/cat"), TextToImage) and len(hub.calls) == 1


# === To upload ===
def test_to_hugging_face(directory, monkeypatch):
    hub = Hub("huggingface_hub", monkeypatch, create_repo=None, upload_file=None, upload_folder=None)
    upload_preset("hf://me/cat", directory)
    made, card, folder = hub.calls
    assert made == ("create_repo", ("me/cat",), {"exist_ok": True})
    text = card[2]["path_or_fileobj"].decode()
    assert text.startswith('---\nlibrary_name: "keras"\npipeline_tag: "unconditional-image-generation"\n')
    assert 'kgen.models.VAE.from_preset("hf://me/cat")' in text and card[2]["path_in_repo"] == "README.md"
    assert folder == ("upload_folder", (), {"repo_id": "me/cat", "folder_path": str(directory)})


def test_a_card_that_is_there_stays(directory, tmp_path, monkeypatch):
    shutil.copytree(directory, tmp_path / "cat")
    (tmp_path / "cat" / "README.md").write_text("# A cat")
    hub = Hub("huggingface_hub", monkeypatch, create_repo=None, upload_file=None, upload_folder=None)
    upload_preset("hf://me/cat", tmp_path / "cat")
    assert [name for name, *_ in hub.calls] == ["create_repo", "upload_folder"]


def test_to_kaggle(directory, monkeypatch):
    hub = Hub("kagglehub", monkeypatch, model_upload=None)
    upload_preset("kaggle://me/cat/keras/small", directory)
    assert hub.calls == [("model_upload", ("me/cat/keras/small", str(directory)), {})]


def test_what_cannot_be_uploaded(directory, tmp_path):
    with pytest.raises(ValueError, match="contains no preset"):
        upload_preset("hf://me/cat", tmp_path)
    for address in ("hf://me/cat@v2", "file:///cat.zip", "cat"):
        with pytest.raises(ValueError, match=f"upload_preset: address must be hf://owner/name or .*; got '{address}'"):
            upload_preset(address, directory)
