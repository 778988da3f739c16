import importlib.util
import json

import numpy as np
import pytest

from kgen.data import icons


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    if importlib.util.find_spec("resvg_py") is None:
        pytest.skip("needs resvg-py")
    monkeypatch.setenv("KGEN_CACHE", str(tmp_path / "cache"))


def square(color):
    return {"body": f'<path fill="{color}" d="M0 0h8v8H0z"/>'}


def package(directory, name="Noto Emoji", **icons_json):
    """A package of Iconify as npm unpacks it."""
    directory.mkdir()
    drawn = {"red-heart": square("red"), "hand": square("#fc0"), "hand-dark-skin-tone": square("#630")}
    drawn |= {"old-heart": {**square("red"), "hidden": True}, "traffic-light": square("lime"), "flag": square("blue")}
    aliases = {"heart": {"parent": "red-heart"}, "other-hand": {"parent": "hand", "hFlip": True}}
    data = {"prefix": directory.name, "icons": drawn, "aliases": aliases, "width": 8, "height": 8, **icons_json}
    groups = {"Symbols": ["red-heart"], "People & Body": ["hand", "hand-dark-skin-tone"], "Flags": ["flag"]}
    for file, content in (("icons", data), ("info", {"name": name}), ("metadata", {"categories": groups})):
        (directory / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")
    return directory


def test_names_styles_and_groups(tmp_path):
    data = icons([package(tmp_path / "noto"), package(tmp_path / "fluent", "Fluent Emoji Flat")], 8)
    assert data.captions == [
        [*names, f"{names[0]} in {style} style"]
        for style in ("Noto", "Fluent Flat")
        for names in (["red heart", "heart"], ["hand"], ["traffic light"])
    ]
    assert data.file_names[0] == "noto:red-heart"
    assert data.attributes[4] == {"name": "hand", "style": "Fluent Flat", "group": "people-body"}
    np.testing.assert_array_equal(data.images[0], np.broadcast_to([255, 0, 0], (8, 8, 3)))
    again = icons(tmp_path / "noto", 8, styles=False, groups=["symbols", "flags"])
    assert again.captions == [["red heart", "heart"], ["flag"]]


def test_each_icon_has_its_own_box(tmp_path):
    wide = {"body": '<path fill="red" d="M0 0h8v8H0z"/>', "width": 16}
    data = icons(package(tmp_path / "noto", icons={"wide": wide}), 16)
    red = (data.images[0] == [255, 0, 0]).all(axis=-1)
    # The left half of a box that is twice as wide as high, in the middle of the image.
    assert red[4:12, :8].all() and red.sum() == 64


def test_cut_outs_know_where_they_are(tmp_path):
    small = {"body": '<path fill="red" d="M0 0h4v8H0z"/>'}
    data = icons(package(tmp_path / "noto", icons={"half": small}), 8, background=None)
    np.testing.assert_array_equal(data.images[0, 0], [[255, 0, 0, 255]] * 4 + [[0, 0, 0, 0]] * 4)


def test_changed_drawings_are_rendered_anew(tmp_path):
    before = icons(package(tmp_path / "noto"), 8)
    file = tmp_path / "noto" / "icons.json"
    file.write_text(file.read_text().replace("red", "blue"))
    assert (icons(tmp_path / "noto", 8, styles=False).images != before.images).any()


def test_what_is_no_icon_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no Iconify package: icons.json is missing. `npm install"):
        icons(tmp_path)
    directory = package(tmp_path / "noto")
    with pytest.raises(ValueError, match=r"groups must be among flags, people-body, symbols; got \['birds'\]"):
        icons(directory, groups="birds")
    with pytest.raises(ValueError, match="icons: there are no icons in an empty list of directories"):
        icons([])
    (directory / "info.json").write_text("{}")
    with pytest.raises(ValueError, match="noto holds no Iconify icon set: KeyError"):
        icons(directory)
    (directory / "icons.json").write_text("{")
    with pytest.raises(ValueError, match="icons.json is damaged"):
        icons(directory)
