import re

import numpy as np
import pytest

from kgen.data import CaptionedImages, compose
from kgen.data.compose import TINTS, _plural, _with_article, held_out

NAMES = ["cat", "apple", "red bus", "star", "slice of pizza", "owl", "key", "berry"]


def cutouts(names=NAMES):
    """A grey square in the middle of nothing for each name, darker from one to the next."""
    images = np.zeros((len(names), 16, 16, 4), "uint8")
    for i, image in enumerate(images):
        image[4:12, 4:12] = (*[200 - 20 * i] * 3, 255)
    return CaptionedImages(images, names)


def blobs(image):
    """Number of connected areas that are not white."""
    drawn, count = (image.min(axis=-1) < 250), 0
    while drawn.any():
        count += 1
        front = np.zeros_like(drawn)
        front[tuple(np.argwhere(drawn)[0])] = True
        while (grown := _grown(front) & drawn).sum() > front.sum():
            front = grown
        drawn &= ~front
    return count


def _grown(area):
    grown = area.copy()
    grown[1:] |= area[:-1]
    grown[:-1] |= area[1:]
    grown[:, 1:] |= area[:, :-1]
    grown[:, :-1] |= area[:, 1:]
    return grown


@pytest.fixture(scope="module")
def data():
    return compose(cutouts(), 120, image_size=48)


def test_captions_say_what_is_drawn(data):
    assert data.images.shape == (120, 48, 48, 3)
    for image, (caption,), scene in zip(data.images, data.captions, data.attributes):
        if scene["count"]:
            assert caption == f"{scene['count']} {_plural(scene['names'][0])}"
            assert blobs(image) == {"two": 2, "three": 3}[scene["count"]]
        elif scene["color"]:
            assert caption.split(" ", 1)[1] == f"{scene['color']} {scene['names'][0]}"
            drawn = image[image.min(axis=-1) < 250].mean(axis=0)
            assert drawn.argmax() == np.argmax(TINTS[scene["color"]]), caption
        elif scene["relation"]:
            assert blobs(image) == 2 and f" {scene['relation']} " in caption
        else:
            assert blobs(image) == 1 and caption.split(" ", 1)[1] == scene["names"][0]
    said = [[name for name in ("count", "color", "relation") if scene[name]] for scene in data.attributes]
    assert min(said.count(kind) for kind in ([], ["count"], ["color"], ["relation"])) > 20


def test_relations_are_where_they_say(data):
    for image, scene in zip(data.images, data.attributes):
        if scene["relation"] in ("left of", "right of"):
            shade = 200 - 20 * NAMES.index(scene["names"][0])
            first = np.argwhere(np.abs(image.astype(int).mean(axis=-1) - shade) < 4)[:, 1].mean()
            middle = np.argwhere(image.min(axis=-1) < 250)[:, 1].mean()
            assert (first < middle) == (scene["relation"] == "left of")


def test_held_out_pairs_are_in_their_split_alone(data):
    def pairs(made):
        return {(s["count"] or s["color"], s["names"][0]) for s in made.attributes if s["count"] or s["color"]}

    assert not any(held_out(*pair) for pair in pairs(data))
    apart = compose(cutouts(), 60, image_size=16, split="held_out")
    assert all(held_out(*pair) for pair in pairs(apart)) and len(pairs(apart)) > 3
    assert not any(scene["color"] and "red" in scene["names"][0] for scene in apart.attributes)


def test_an_image_depends_on_its_number_alone(data):
    few = compose(cutouts(), 3, image_size=48)
    np.testing.assert_array_equal(few.images, data.images[:3])
    assert few.captions == data.captions[:3]
    assert (compose(cutouts(), 3, image_size=48, seed=1).images != few.images).any()


def test_plurals():
    plurals = ["cats", "apples", "red buses", "stars", "slices of pizza", "owls", "keys", "berries"]
    assert [_plural(name) for name in NAMES] == plurals
    irregular = {
        "wolf": "wolves",
        "four leaf clover": "four leaf clovers",
        "autumn leaf": "autumn leaves",
        "ox": "oxen",
    }
    assert {name: _plural(name) for name in irregular} == irregular


def test_articles():
    words = {"unicorn": "a unicorn", "umbrella": "an umbrella", "owl": "an owl", "eucalyptus": "a eucalyptus"}
    assert {name: _with_article(name) for name in words} == words


def test_names_in_the_plural_are_not_counted():
    data = compose(cutouts(["beans", "glasses", "french fries", "cactus"]), 40, image_size=16)
    assert {scene["names"][0] for scene in data.attributes if scene["count"]} <= {"cactus"}
    assert not any(re.search(r"\ba (?:\w+ )?(?:beans|glasses|french fries)", caption) for (caption,) in data.captions)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="compose: cutouts must be CaptionedImages; got ndarray"):
        compose(cutouts().images, 1)
    flat = CaptionedImages(np.zeros((3, 8, 8, 3), "uint8"), ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"four channels, .* got 3 of \(8, 8, 3\). kgen.data.icons"):
        compose(flat, 1)
    with pytest.raises(ValueError, match="compose: split must be one of 'train', 'seen', 'held_out'; got 'test'"):
        compose(cutouts(), 1, split="test")
    with pytest.raises(ValueError, match="compose: n must be an integer of at least 1; got 0"):
        compose(cutouts(), 0)
    with pytest.raises(ValueError, match="compose: no count or colour of these cut-outs is held out"):
        compose(cutouts(["cat", "apple"]), 1, split="held_out")


def test_without_variation_a_caption_has_one_image():
    data = compose(cutouts(), 80, image_size=48, vary=False)
    images = {}
    for image, (caption,), scene in zip(data.images, data.captions, data.attributes):
        np.testing.assert_array_equal(image, images.setdefault(caption, image))
        drawn = np.argwhere(image.min(axis=-1) < 250)
        if not scene["count"]:
            np.testing.assert_allclose(drawn.mean(axis=0), 23.5, atol=1.0)
    assert len(images) < 80
