import json
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("eager")


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def made(done, trained_vae):
    done("generate", trained_vae, "--num", 1, "-o", "one.png")
    return json.loads(open("one.png.run.json", encoding="utf-8").read())


def test_repeats_to_the_bit(kgen, done, made):
    assert kgen("run", "one.png.run.json")[:2] == (0, "one_2.png\n")
    assert open("one.png", "rb").read() == open("one_2.png", "rb").read()
    result = done("run", "one.png.run.json", "-o", "deep/again.png")
    assert result["files"][0].endswith("deep/again.png")
    np.testing.assert_array_equal(pixels("deep/again.png"), pixels("one.png"))
    # What was repeated can be repeated.
    done("run", "deep/again.png.run.json", "-o", "third.png")
    np.testing.assert_array_equal(pixels("third.png"), pixels("one.png"))


def test_from_another_directory(done, made, folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    done("run", "../one.png.run.json", "-o", "here.png")
    np.testing.assert_array_equal(pixels("here.png"), pixels("../one.png"))
    assert not (folder / "here.png").exists()


def test_what_it_holds(made, folder):
    assert made["command"] == "generate" and made["directory"] == str(folder) and made["output"] == "one.png"
    assert {"kgen", "keras", "numpy", "python"} <= set(made["versions"])
    ((file, digest),) = made["inputs"].items()
    assert file.endswith("model.keras") and len(digest) == 64


def test_an_input_that_has_changed_is_told(kgen, made, folder):
    made["inputs"] = {file: "0" * 64 for file in made["inputs"]}
    (folder / "one.png.run.json").write_text(json.dumps(made))
    code, out, err = kgen("run", "one.png.run.json")
    assert code == 0 and "is missing or has changed; the result will differ" in err


def test_another_backend_is_told(kgen, made, folder):
    (folder / "one.png.run.json").write_text(json.dumps({**made, "backend": "another"}))
    assert "keras" in sys.modules
    assert "made with the backend another" in kgen("run", "one.png.run.json")[2]


def test_bad_input(failed, made, folder):
    assert "No such file" in failed(1, "run", "none.json")
    (folder / "text.json").write_text("x")
    assert "'text.json' is not a run file: it is not valid JSON" in failed(1, "run", "text.json")
    (folder / "other.json").write_text("{}")
    assert "'other.json' is not a run file of kgen" in failed(2, "run", "other.json")
    (folder / "other.json").write_text(json.dumps({**made, "directory": str(folder / "gone")}))
    assert "which does not exist" in failed(1, "run", "other.json")
    (folder / "other.json").write_text(json.dumps({**made, "format": 2}))
    assert "was written by a newer kgen" in failed(1, "run", "other.json")
    assert "'one.png' already exists" in failed(1, "run", "one.png.run.json", "-o", "one.png")
