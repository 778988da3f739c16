import json

import pytest
from PIL import Image

from kgen.evaluate import main as measured
from tests.models import tiny


@pytest.fixture
def folders(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    for name, images in (("generated", tiny.pictures(6)), ("real", tiny.bands(8)[0])):
        (folder / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(folder / name / f"{i}.png")
    return "generated", "real", "--features", "pixels", "--metrics", "kernel_distance"


@pytest.mark.filterwarnings("ignore:.* for features of length")
def test_what_the_module_does(kgen, folders):
    code, out, err = kgen("evaluate", *folders, "--json", "numbers.json")
    assert code == 0 and out.splitlines()[0].split() == ["measure", "value", "better", "features"]
    report = json.loads(open("numbers.json").read())
    assert report["numbers"] == measured(list(folders))["numbers"]
    kgen("run", "numbers.json.run.json", "-o", "again.json")
    assert json.loads(open("again.json").read())["numbers"] == report["numbers"]
    # Nothing but JSON for programs.
    code, out, err = kgen("run", "numbers.json.run.json", "-o", "third.json", "--json")
    assert code == 0 and json.loads(out)["numbers"] == report["numbers"]


def test_bad_input(failed, folders):
    assert "argument --metrics: invalid choice: 'fid'" in failed(2, "evaluate", "a", "b", "--metrics", "fid")
    assert "argument --num-images: must be a whole number from 1" in failed(2, "evaluate", "a", "b", "--num-images", 0)
    assert "nowhere' is not a folder of images" in failed(1, "evaluate", "nowhere", *folders[1:])
