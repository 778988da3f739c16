import numpy as np
import pytest

from kgen.data import HELD_OUT, MASK_NAMES, captioned_shapes
from kgen.data.shapes_drawing import BACKGROUNDS, COLORS, SHAPES

ONE_OF = {
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "huge"),
    "grey": ("grey", "gray"),
    "navy": ("navy", "dark blue"),
    "circle": ("circle", "disc"),
    "cross": ("cross", "plus sign"),
}


def pairs(data):
    return [{(thing["color"], thing["shape"]) for thing in scene["objects"]} for scene in data.attributes]


def test_images_and_captions():
    data = captioned_shapes(20, image_size=24)
    assert data.images.shape == (20, 24, 24, 3) and data.images.dtype == np.uint8
    assert data.images.std((1, 2, 3)).min() > 3  # something is drawn on each
    assert all(1 <= len(set(texts)) == len(texts) <= 3 for texts in data.captions)
    assert sum(map(len, data.captions)) > 40  # most wordings differ


def test_a_row_depends_on_seed_split_and_row_alone():
    few, many = captioned_shapes(5, seed=3), captioned_shapes(9, seed=3)
    assert (few.images == many.images[:5]).all() and few.captions == many.captions[:5]
    assert few.attributes == many.attributes[:5]
    others = [captioned_shapes(5, seed=4), captioned_shapes(5, seed=3, split="seen")]
    assert all(other.captions != few.captions for other in others)


def test_held_out_pairs_are_never_trained_on():
    for split in ("train", "seen"):
        assert not any(shown & set(HELD_OUT) for shown in pairs(captioned_shapes(150, 16, split=split)))
    assert all(shown & set(HELD_OUT) for shown in pairs(captioned_shapes(80, 16, split="held_out")))


def test_every_color_and_shape_is_trained_on_and_held_out():
    assert {color for color, _ in HELD_OUT} == set(COLORS) and {shape for _, shape in HELD_OUT} == set(SHAPES)
    trained = set().union(*pairs(captioned_shapes(300, 16)))
    assert len(trained) == len(COLORS) * len(SHAPES) - len(HELD_OUT)


def test_captions_say_what_the_attributes_say():
    data = captioned_shapes(150, 16)
    opposite = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
    words = {"above": ("above", "over", "on top of"), "below": ("below", "under", "beneath")}
    for scene, texts in zip(data.attributes, data.captions, strict=True):
        for text in texts:
            for thing in scene["objects"]:
                for key in ("size", "color", "shape"):
                    assert any(word in text for word in ONE_OF.get(thing[key], (thing[key],))), (text, thing)
                if thing["count"] > 1:
                    assert text.startswith(("two", "three", "four")[thing["count"] - 2])
            if scene["background"] != "white":
                assert any(
                    f" on {word}" in text or f"on a {word}" in text
                    for word in ONE_OF.get(scene["background"], ("black",))
                )
            if scene["relation"]:
                first, second = (ONE_OF.get(thing["shape"], (thing["shape"],)) for thing in scene["objects"])
                (told,) = [
                    name
                    for name in opposite
                    for word in words.get(name, (name,))
                    if f" {word} " in text.replace(" to the ", " ")
                ]
                if scene["objects"][0]["shape"] != scene["objects"][1]["shape"]:
                    in_order = min(text.find(w) % 999 for w in first) < min(text.find(w) % 999 for w in second)
                    assert told == (scene["relation"] if in_order else opposite[scene["relation"]]), (text, scene)


def test_counts_are_right_in_pixels():
    data = captioned_shapes(60, 48)
    for scene, image in zip(data.attributes, data.images, strict=True):
        things = [thing for thing in scene["objects"] for _ in range(thing["count"])]
        painted = (np.abs(image.astype(int) - image[0, 0]).max(-1) > 20).mean()
        assert 0.02 * len(things) < painted < 0.16 * len(things)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be an integer of at least 1; got 0"),
        ({"n": 2.5}, "n must be an integer"),
        ({"image_size": 8}, "image_size must be an integer of at least 16; got 8"),
        ({"seed": -1}, "seed must be an integer of at least 0; got -1"),
        ({"split": "test"}, "split must be one of train, seen, held_out; got 'test'"),
    ],
)
def test_refuses_arguments(options, message):
    with pytest.raises(ValueError, match=f"captioned_shapes: {message}"):
        captioned_shapes(**{"n": 2, **options})


def test_masks_are_exact():
    data, masks = captioned_shapes(12, masks=True)
    assert masks.shape == (12, 32, 32) and masks.dtype == "uint8"
    np.testing.assert_array_equal(data.images, captioned_shapes(12).images)
    for image, mask, scene in zip(data.images, masks, data.attributes):
        shapes = {MASK_NAMES.index(thing["shape"]) for thing in scene["objects"]}
        assert set(np.unique(mask)) == {0} | shapes
        background = np.array(BACKGROUNDS[scene["background"]])
        differs = np.abs(image.astype(int) - background).max(axis=-1) > 0
        # What the mask has is drawn; what is drawn and not in the mask is the edge of a shape, under half covered.
        assert differs[mask > 0].all() and 0 < differs[mask == 0].mean() < 0.2
