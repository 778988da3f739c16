import json
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from kgen.data import captioned_folder, from_teacher

PROMPTS = ["red", "green", "blue"]
COLORS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}


class Teacher:
    """Draws the colour that it is asked for, its corner by the seed."""

    def __init__(self, convert=lambda images: images, dies_after=None):
        self.convert = convert
        self.dies_after = dies_after
        self.calls = []

    def generate(self, prompts, seed, strength=1):
        if len(self.calls) == self.dies_after:
            raise KeyboardInterrupt
        self.calls.append((list(prompts), seed))
        images = np.array([np.full((8, 12, 3), COLORS[prompt]) for prompt in prompts]) * strength
        images[:, 0, 0] = np.random.default_rng(seed).integers(0, 256, (len(prompts), 3))
        return self.convert(images.astype("uint8"))


def drawn(folder):
    return {file.name: np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))}


def draw(teacher, folder, **kwargs):
    return from_teacher(teacher, PROMPTS, folder, **{"images_per_prompt": 3, "batch_size": 4, "verbose": 0, **kwargs})


def test_images_and_captions_that_captioned_folder_reads(tmp_path):
    teacher = Teacher()
    data = draw(teacher, tmp_path / "set")
    assert data.image_shape == (8, 8, 3) and data.captions == [["red"]] * 3 + [["green"]] * 3 + [["blue"]] * 3
    assert [tuple(image[4, 4]) for image in data.images] == [COLORS[each[0]] for each in data.captions]
    again = captioned_folder(tmp_path / "set", image_size=8)
    assert np.array_equal(again.images, data.images) and again.captions == data.captions
    # Full batches only, each with a seed of its own.
    assert [len(prompts) for prompts, _ in teacher.calls] == [4, 4, 4]
    assert len({seed for _, seed in teacher.calls}) == 3
    other = Teacher()
    draw(other, tmp_path / "other", seed=1)
    assert {seed for _, seed in teacher.calls}.isdisjoint(seed for _, seed in other.calls)


def test_goes_on_where_it_was_stopped_and_ends_the_same(tmp_path):
    draw(Teacher(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        draw(Teacher(dies_after=1), tmp_path / "set")
    assert len(drawn(tmp_path / "set")) == 4 and not (tmp_path / "set" / "captions.csv").exists()
    # As if killed within the second batch, half an image written.
    Image.fromarray(np.zeros((8, 12, 3), "uint8")).save(tmp_path / "set" / "0000004.png")
    (tmp_path / "set" / "0000005.1.partial.png").write_bytes(b"half")
    teacher = Teacher()
    data = draw(teacher, tmp_path / "set")
    assert len(teacher.calls) == 2 and len(data) == 9
    whole, resumed = drawn(tmp_path / "whole"), drawn(tmp_path / "set")
    assert list(whole) == list(resumed) and all(np.array_equal(whole[name], resumed[name]) for name in whole)
    assert sorted(os.listdir(tmp_path / "set")) == sorted([*whole, "captions.csv", "teacher.json"])
    idle = Teacher()
    draw(idle, tmp_path / "set")
    assert idle.calls == []


@pytest.mark.parametrize(
    "convert",
    [
        lambda images: images / 255.0,
        lambda images: images / 127.5 - 1.0,
        lambda images: images.astype("float64"),
    ],
)
def test_floats_in_any_range(tmp_path, convert):
    draw(Teacher(), tmp_path / "bytes")
    draw(Teacher(convert), tmp_path / "floats")
    expected, found = drawn(tmp_path / "bytes"), drawn(tmp_path / "floats")
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_grey_images(tmp_path):
    data = draw(Teacher(lambda images: images[..., :1]), tmp_path / "set", channels=1, image_size=4)
    assert data.image_shape == (4, 4, 1) and data.images[0, 2, 2, 0] == 200


def test_another_call_on_the_same_folder_is_refused(tmp_path):
    draw(Teacher(), tmp_path / "set")
    weighty = Teacher()
    weighty.weights = [type("Weight", (), {"value": np.ones(3)})()]
    for said, call in {
        "another prompts": lambda: from_teacher(
            Teacher(), ["red"], tmp_path / "set", images_per_prompt=3, batch_size=3, verbose=0
        ),
        "another seed": lambda: draw(Teacher(), tmp_path / "set", seed=5),
        "another images_per_prompt": lambda: draw(Teacher(), tmp_path / "set", images_per_prompt=2),
        "another teacher": lambda: draw(weighty, tmp_path / "set"),
        "another options": lambda: draw(Teacher(), tmp_path / "set", strength=0),
    }.items():
        with pytest.raises(ValueError, match=f"was generated with .*{said}"):
            call()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="does not hold a teacher's images"):
        draw(Teacher(), tmp_path / "mine")
    assert "strength" not in json.loads((tmp_path / "set" / "teacher.json").read_text())["options"]


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"teacher": 3}, TypeError, "teacher must have generate"),
        ({"prompts": "red"}, TypeError, "prompts must be a list of strings; got 'red'"),
        ({"prompts": ["red", 3]}, TypeError, "got 3, a int"),
        ({"prompts": []}, ValueError, "the list of prompts is empty"),
        ({"prompts": ["red", " "]}, ValueError, "prompt 1 is empty"),
        ({"images_per_prompt": 0}, ValueError, "images_per_prompt must be an integer of at least 1; got 0"),
        ({"batch_size": 1.5}, ValueError, "batch_size must be"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0; got -1"),
        ({"teacher": Teacher(lambda x: x[0])}, ValueError, r"must return 1 images .*; got shape \(8, 12, 3\)"),
        ({"teacher": Teacher(lambda x: x - 300.0)}, ValueError, "got values from -300 to"),
        ({"teacher": Teacher(lambda x: x * np.nan)}, ValueError, "got values from nan"),
    ],
)
def test_bad_input(tmp_path, change, kind, said):
    arguments = {"teacher": Teacher(), "prompts": ["red"], "directory": tmp_path / "set", "verbose": 0, **change}
    with warnings.catch_warnings(), pytest.raises(kind, match=said):
        warnings.simplefilter("ignore")
        from_teacher(**arguments)
