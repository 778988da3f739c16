"""The command in this process, and small models and images for it."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from kgen.command import main
from kgen.layers import GaussianNoise, RandomMask
from kgen.models import ImageClassifier, ImageRestorer
from kgen.networks import restoration_network
from tests.models import tiny, tiny_style, tiny_text


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The directory that the command is given in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def eager():
    """Draws one image, for which it takes longer to compile a graph than to do without."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def kgen(capsys):
    """Runs the command: `(what it ends with, standard output, standard error)`."""

    def run(*arguments):
        capsys.readouterr()
        code = main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def done(kgen):
    """Runs a command that works, and gives what `--json` prints."""

    def run(*arguments):
        code, out, err = kgen(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.fixture
def failed(kgen):
    """Runs a command that does not go, and gives the one line that it says."""

    def run(code, *arguments):
        ended, out, err = kgen(*arguments)
        (line,) = err.splitlines()
        assert (ended, out) == (code, "") and "Traceback" not in line
        return line

    return run


def _saved(model, directory):
    if hasattr(model, "average"):
        model.average.updates.assign(1.0)
    model.save_to_preset(directory / "preset")
    return directory / "preset"


@pytest.fixture(scope="session")
def restorer(tmp_path_factory):
    """Preset that takes noise out of images."""
    network = restoration_network(3, filters=4, blocks=1)
    return _saved(ImageRestorer([GaussianNoise(30)], network=network, seed=0), tmp_path_factory.mktemp("restorer"))


@pytest.fixture(scope="session")
def inpainter(tmp_path_factory):
    """Preset that fills in what is missing."""
    network = restoration_network(3, masked=True, filters=4, blocks=1)
    model = ImageRestorer([RandomMask((0.1, 0.5), (1, 4))], network=network, seed=0)
    return _saved(model, tmp_path_factory.mktemp("inpainter"))


@pytest.fixture(scope="session")
def painter(tmp_path_factory):
    """Preset that draws in the style of others."""
    return _saved(tiny_style.model(), tmp_path_factory.mktemp("painter"))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    """Preset that tells where an image is bright."""
    model = ImageClassifier(tiny.encoder(8), class_names=["left", "middle", "right"], ema_momentum=0.0, seed=0)
    return _saved(model, tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def photo(folder):
    """File of a small image."""
    blocks = np.random.default_rng(1).integers(30, 226, (9, 11, 3))
    Image.fromarray(np.kron(blocks, np.ones((4, 4, 1))).astype("uint8")).save(folder / "photo.png")
    return "photo.png"


@pytest.fixture
def captioned(folder):
    """Folder of eight captioned images."""
    images, captions = tiny_text.pictures(8)
    (folder / "mine").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / "mine" / f"{i}.png")
        (folder / "mine" / f"{i}.txt").write_text("\n".join(captions[i]), encoding="utf-8")
    return "mine"
