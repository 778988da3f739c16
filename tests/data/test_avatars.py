import importlib.util
import re
import sys
from collections import Counter
from importlib import import_module

import numpy as np
import pytest

from kgen.data import HELD_OUT_AVATARS, avatars
from kgen.data.avatar_styles import AVATAR_STYLES

module = import_module("kgen.data.avatars")
STYLES = sorted(AVATAR_STYLES)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    for package in ("dicebear", "dicebear_styles", "resvg_py"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    monkeypatch.setenv("KGEN_CACHE", str(tmp_path_factory.getbasetemp() / "avatars"))


@pytest.mark.parametrize("style", STYLES)
def test_images_captions_and_attributes(style):
    data = avatars(24, 32, style=style, languages=("en", "zh"))
    assert data.images.shape == (24, 32, 32, 3) and data.images.dtype == "uint8"
    assert len(np.unique(data.images.reshape(24, -1), axis=0)) == 24
    attributes = AVATAR_STYLES[style].attributes
    for captions, person in zip(data.captions, data.attributes):
        assert set(person) == {*attributes, "named"} and len(captions) == len(person["named"]) == 4
        for caption, named in zip(captions, person["named"]):
            assert "{" not in caption and "  " not in caption and caption.strip(" ,，") == caption
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", caption), caption
            assert named and all(person[name] is not None for name in named)
        assert re.fullmatch(r"[ -~]+", captions[0]) and re.fullmatch(r"[\u3000-\u9fff，：]+", captions[2])


def test_more_captions_tell_of_the_same_people():
    two, five = (people("personas", 8, languages=("en", "zh"), captions=count) for count in (2, 5))
    for few, many in zip(two, five):
        assert (len(few["captions"]), len(many["captions"])) == (4, 10) and len(many["named"]) == 10
        assert {**few, "captions": 0, "named": 0} == {**many, "captions": 0, "named": 0}
        assert few["named"][:2] == many["named"][:2] and len(set(many["captions"])) > 7
        assert all(ord(caption[0]) < 128 for caption in many["captions"][:5])


@pytest.mark.parametrize("style", STYLES)
def test_a_caption_has_the_words_of_what_it_names(style):
    attributes = AVATAR_STYLES[style].attributes
    for person in people(style, 60):
        for caption, named in zip(person["captions"], person["named"]):
            for name in named:
                words = attributes[name].choices[person[name]].english.replace("{color}", "").split()
                assert all(word in caption for word in words if word not in ("a", "an")), (name, caption)


def people(style, count, split="train", **options):
    """Attributes and captions, without pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "rendered", lambda name, svg_of, count, *_: np.zeros((count, 1, 1, 3), "uint8"))
        data = avatars(count, style=style, split=split, **options)
    return [{**person, "captions": captions} for person, captions in zip(data.attributes, data.captions)]


@pytest.mark.parametrize("style", STYLES)
def test_held_out_pairs_are_in_their_split_alone_and_named(style):
    pairs = HELD_OUT_AVATARS[style]

    def shown(person):
        return [pair for pair in pairs if all(person[name] == value for name, value in pair)]

    assert not any(shown(person) for person in people(style, 150))
    held_out = people(style, 40, "held_out")
    assert all(len(shown(person)) == 1 for person in held_out)
    assert all({name for name, _ in shown(person)[0]} <= set(person["named"][0]) for person in held_out)
    assert {shown(person)[0] for person in held_out} == set(pairs)


def test_captions_leave_parts_out_and_every_value_comes_up():
    persons = people("personas", 300)
    said = [len(named) for person in persons for named in person["named"]]
    assert min(said) == 1 and 3 < np.mean(said) < 5
    for name, attribute in AVATAR_STYLES["personas"].attributes.items():
        seen = Counter(person[name] for person in persons)
        assert set(seen) - {None} == set(attribute.choices) - {None}
    assert 0.6 < np.mean([person["beard"] is None for person in persons]) < 0.8


def test_what_is_hidden_is_not_named():
    masked = [person for person in people("big_smile", 150) if person["accessory"] == "face mask"]
    assert masked and all(person["mouth"] is None for person in masked)
    bald = [person for person in people("personas", 150) if person["hair"] == "bald"]
    assert bald and all(person["hair_color"] is None for person in bald)


def test_parts_are_drawn_as_they_are_named():
    """The colour of clothes, at the bottom of the image, is that of its attribute."""
    data = avatars(60, 32, style="personas")
    by_color = {}
    for image, person in zip(data.images, data.attributes):
        by_color.setdefault(person["clothes_color"], []).append(image[-2, 12:20].mean(axis=0))
    red, green, blue = (np.mean(by_color[name], axis=0) for name in ("red", "green", "blue"))
    assert red.argmax() == 0 and green.argmax() == 1 and blue.argmax() == 2


def test_an_image_depends_on_its_seed_and_number_alone():
    few, many = avatars(3, 16, seed=5), avatars(6, 16, seed=5)
    np.testing.assert_array_equal(few.images, many.images[:3])
    assert few.captions == many.captions[:3]
    assert (avatars(3, 16, seed=6).images != few.images).any()


def test_wrong_arguments(monkeypatch):
    with pytest.raises(ValueError, match="avatars: n must be an integer of at least 1; got 0"):
        avatars(0)
    with pytest.raises(ValueError, match="avatars: style must be one of 'personas', 'big_smile'; got 'photo'"):
        avatars(1, style="photo")
    with pytest.raises(ValueError, match="avatars: split must be one of 'train', 'seen', 'held_out'; got 'test'"):
        avatars(1, split="test")
    with pytest.raises(ValueError, match=r"avatars: languages must be 'en', 'zh' or both; got \['de'\]"):
        avatars(1, languages="de")
    monkeypatch.setitem(sys.modules, "dicebear", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match='avatars: needs .*dicebear-core.* missing: .*pip install "keras-kgen'):
        avatars(1)
