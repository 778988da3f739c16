import numpy as np
import pytest
from PIL import Image, ImageFilter

from kgen.data import attributes_match, captioned_shapes, read_shapes

ALL = {"background", "count", "color", "shape", "size"}


def accuracy(data, spoil=lambda image: image):
    matches = [
        attributes_match(*pair)
        for pair in zip(data.attributes, (read_shapes(spoil(i)) for i in data.images), strict=True)
    ]
    return np.mean([all(match.values()) for match in matches])


def thing(color, shape, size="large", count=1):
    return {"count": count, "size": size, "color": color, "shape": shape}


def scene(*objects, relation=None, background="white"):
    return {"background": background, "relation": relation, "objects": list(objects)}


@pytest.mark.parametrize("image_size", [32, 64])
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_reads_clean_images(image_size, split):
    assert accuracy(captioned_shapes(60, image_size, split=split)) >= 0.99


@pytest.mark.parametrize("image_size", [32, 64])
def test_reads_noisy_blurred_images(image_size):
    random = np.random.default_rng(0)

    def spoil(image):
        blurred = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(0.6)), "float32")
        return np.clip(blurred + random.normal(0, 10, blurred.shape), 0, 255).astype("uint8")

    assert accuracy(captioned_shapes(60, image_size), spoil) >= 0.95


def test_float_ranges_read_alike():
    image = captioned_shapes(1).images[0]
    expected = read_shapes(image)
    for scaled in (image / 255.0, image / 127.5 - 1):
        read = read_shapes(scaled.astype("float32"))
        assert [t["shape"] for t in read["objects"]] == [t["shape"] for t in expected["objects"]]
        assert read["background"] == expected["background"] and read["relation"] == expected["relation"]


def test_what_is_read():
    data = captioned_shapes(60)
    for expected, image in zip(data.attributes, data.images, strict=True):
        read = read_shapes(image)
        assert read["count"] == len(read["objects"]) == sum(t["count"] for t in expected["objects"])
        assert all(0 < c < 1 for t in read["objects"] for c in t["center"])
        assert all(0.6 <= t["overlap"] <= 1 for t in read["objects"])
        assert (read["relation"] is not None) == (read["count"] == 2)
        assert set(attributes_match(expected, read)) == ALL | ({"relation"} if expected["relation"] else set())


def test_images_of_something_else_are_not_accepted():
    data = captioned_shapes(80)
    read = [read_shapes(image) for image in data.images]
    for shift in (1, 2, 3):
        for i in range(len(data)):
            asked = data.attributes[i - shift]
            if asked != data.attributes[i]:
                same = scene_in_order(asked) == scene_in_order(data.attributes[i])
                assert same or not all(attributes_match(asked, read[i]).values())


def scene_in_order(scene):
    """The attributes without the choice which of two objects is called the first."""
    turned = {"above": "below", "left of": "right of"}
    if scene["relation"] in turned:
        return {**scene, "relation": turned[scene["relation"]], "objects": scene["objects"][::-1]}
    return scene


@pytest.mark.parametrize("fill", ["noise", "grey", "white", "stripes"])
def test_no_shapes_are_read_from_images_without(fill):
    random = np.random.default_rng(0)
    image = {
        "noise": random.integers(0, 256, (32, 32, 3)),
        "grey": np.full((32, 32, 3), 128),
        "white": np.full((32, 32, 3), 255),
        "stripes": np.tile(np.array([[0], [255]]).repeat(3, 1)[:, None], (16, 32, 1)),
    }[fill].astype("uint8")
    read = read_shapes(image)
    for asked in captioned_shapes(30).attributes:
        assert not all(attributes_match(asked, read).values())


def read_of(*objects, background="white"):
    objects = [{"color": c, "shape": s, "size": z, "center": at} for c, s, z, at in objects]
    return {"background": background, "count": len(objects), "relation": None, "objects": objects}


def wrong(expected, read):
    return {key for key, right in attributes_match(expected, read).items() if not right}


def test_each_attribute_is_judged_alone():
    asked = scene(thing("red", "circle"), thing("blue", "square", "small"), relation="above")
    circle, square = ("red", "circle", "large", (0.5, 0.3)), ("blue", "square", "small", (0.5, 0.7))
    assert wrong(asked, read_of(square, circle)) == set()  # whatever the order
    assert wrong(asked, read_of(circle, square, background="black")) == {"background"}
    assert wrong(asked, read_of(("red", "circle", "small", (0.5, 0.3)), square)) == {"size"}
    assert wrong(asked, read_of(("red", "star", "large", (0.5, 0.3)), square)) == {"shape"}
    assert wrong(asked, read_of(("pink", "circle", "large", (0.5, 0.3)), square)) == {"color"}
    assert wrong(asked, read_of(("red", "circle", "large", (0.2, 0.7)), square)) == {"relation"}
    assert wrong(asked, read_of(circle, square, circle)) == {"count"}
    assert "count" in wrong(asked, read_of(circle)) and "relation" in wrong(asked, read_of(circle))
    assert wrong(asked, read_of()) == ALL - {"background"} | {"relation"}


def test_colors_belong_to_their_shapes():
    asked = scene(thing("red", "circle"), thing("blue", "square"), relation="left of")
    swapped = read_of(("blue", "circle", "large", (0.2, 0.5)), ("red", "square", "large", (0.8, 0.5)))
    assert wrong(asked, swapped) & {"color", "shape"}


def test_counts():
    asked = scene(thing("red", "circle", "small", count=3))
    circle = ("red", "circle", "small", (0.5, 0.5))
    assert wrong(asked, read_of(circle, circle, circle)) == set()
    assert wrong(asked, read_of(circle, circle, circle, circle)) == {"count"}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((32, 32), "uint8"), r"shape \(H, H, 3\).*got \(32, 32\)"),
        (np.zeros((2, 32, 32, 3), "uint8"), r"got \(2, 32, 32, 3\)"),
        (np.zeros((8, 8, 3), "uint8"), "at least 16"),
        (np.full((32, 32, 3), 200.0), r"got float64 from 200.0 to 200.0"),
        (np.full((32, 32, 3), np.nan), "got float64 from nan"),
    ],
)
def test_refuses_images(image, message):
    with pytest.raises(ValueError, match=f"read_shapes: .*{message}"):
        read_shapes(image)
