import csv
import json
import warnings

import numpy as np
import pytest
from PIL import Image

from kgen.data import caption_folder, captioned_folder

COLORS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}


class Captioner:
    """Names the colour of images of 8x8."""

    image_size = 8

    def __init__(self, kind="one", dies_after=None, say="a {} image"):
        self.kind = kind
        self.dies_after = dies_after
        self.say = say
        self.calls = []

    def fingerprint(self):
        return self.kind

    def caption(self, images):
        if len(self.calls) == self.dies_after:
            raise KeyboardInterrupt
        assert images.dtype == "uint8" and images.shape[1:] == (8, 8, 3)
        self.calls.append(len(images))
        return [self.say.format(list(COLORS)[image[4, 4].argmax()]) for image in images]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "more").mkdir()
    for i, name in enumerate(["a.png", "b.png", "c.jpg", "d.png", "more/e.png", "more/f.png", "more/g.png"]):
        Image.new("RGB", (12, 10), list(COLORS.values())[i % 3]).save(tmp_path / name)
    return tmp_path


def caption(captioner, folder, **kwargs):
    return caption_folder(captioner, folder, **{"batch_size": 3, "verbose": False, **kwargs})


def test_captions_that_captioned_folder_reads(folder):
    captioner = Captioner()
    captions = caption(captioner, folder)
    assert captioner.calls == [3, 3, 1]
    assert list(captions.items())[:2] == [("a.png", "a red image"), ("b.png", "a green image")]
    data = captioned_folder(folder, image_size=8)
    assert data.captions == [[text] for text in captions.values()] and len(data.captions) == 7
    assert sorted(path.name for path in folder.glob("cap*")) == ["captioner.json", "captions.csv"]


def test_goes_on_where_it_was_stopped(folder):
    with pytest.raises(KeyboardInterrupt):
        caption(Captioner(dies_after=2), folder)
    assert not (folder / "captions.csv").exists()
    partial = folder / "captions.jsonl.partial"
    assert len(partial.read_text().splitlines()) == 6
    # As if killed while it wrote the sixth.
    partial.write_bytes(partial.read_bytes()[:-10])
    captioner = Captioner()
    captions = caption(captioner, folder)
    assert captioner.calls == [2] and len(captions) == 7 and not partial.exists()
    assert captions["more/f.png"] == "a blue image"
    # All is there: nobody is asked again, but for what came since.
    assert caption(Captioner(dies_after=0), folder) == captions
    Image.new("RGB", (8, 8), COLORS["blue"]).save(folder / "aa.png")
    captioner = Captioner()
    assert caption(captioner, folder) == {**captions, "aa.png": "a blue image"} and captioner.calls == [1]
    with open(folder / "captions.csv", newline="") as table:
        assert [row["file_name"] for row in csv.DictReader(table)][:3] == ["a.png", "aa.png", "b.png"]


def test_a_table_from_a_spreadsheet(folder):
    captions, table = caption(Captioner(), folder), folder / "captions.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("a red image", "a rose"), encoding="utf-8-sig")
    found = caption(Captioner(dies_after=0), folder)
    assert list(found) == list(captions) and "a rose" in found.values()
    table.write_text("file_name;text\na.png;a rose\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must begin with a line naming the columns file_name,text; got file_name;"):
        caption(Captioner(), folder)


def test_rows_and_columns_of_users_stay(folder):
    caption(Captioner(), folder)
    (folder / "a.png").rename(folder / "new.png")
    (folder / "captions.csv").write_text("file_name,text,source\nb.png,a rose,me\nb.png,a red flower,you\n")
    caption(Captioner(), folder)
    with open(folder / "captions.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row for row in rows if row["file_name"] == "b.png"] == [
        {"file_name": "b.png", "text": "a rose", "source": "me"},
        {"file_name": "b.png", "text": "a red flower", "source": "you"},
    ]
    assert any(row["file_name"] == "new.png" and row["source"] == "" for row in rows)


def test_unreadable_images_are_named_and_the_others_captioned(folder):
    (folder / "b.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"1 of 7 images in .* have no caption: b.png: unreadable .Unidentified"):
        captions = caption(Captioner(), folder)
    assert len(captions) == 6 and "b.png" not in captions
    with pytest.warns(UserWarning, match="b.png"):
        caption(Captioner(), folder)


def test_empty_captions_are_named(folder):
    with pytest.raises(ValueError, match="7 of 7 images .* have no caption: a.png: empty caption; b.png: empty"):
        caption(Captioner(say=" \n"), folder)
    assert not (folder / "captions.csv").exists()


def test_captions_are_one_line(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert caption(Captioner(say=" one\n{},  two "), folder)["a.png"] == "one red, two"


def test_another_captioner_or_size_is_refused(folder):
    caption(Captioner(), folder)
    with pytest.raises(ValueError, match="was captioned with another captioner. Use the same again"):
        caption(Captioner("two"), folder)
    with pytest.raises(ValueError, match="was captioned with another image_size, another resize"):
        caption(Captioner(), folder, image_size=9, resize="pad")
    assert json.loads((folder / "captioner.json").read_text())["captioner"] == "one"


@pytest.mark.parametrize("name", ["captions.csv", "metadata.jsonl", "a.txt"])
def test_captions_of_others_are_not_touched(folder, name):
    (folder / name).write_text("mine")
    with pytest.raises(FileExistsError, match=f"has captions already: {name}"):
        caption(Captioner(), folder)
    assert (folder / name).read_text() == "mine" and not (folder / "captioner.json").exists()


def test_what_is_wrong_says_so(folder):
    with pytest.raises(TypeError, match=r"captioner must have caption\(images\); got int"):
        caption(3, folder)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1; got 0"):
        caption(Captioner(), folder, batch_size=0)
    with pytest.raises(ValueError, match="caption_folder: path must be a folder"):
        caption(Captioner(), folder / "gone")
    captioner = Captioner()
    captioner.caption = lambda images: ["only one"]
    with pytest.raises(ValueError, match=r"caption\(\) must return 3 strings, one per image; got \['only one'\]"):
        caption(captioner, folder)


def test_a_captioner_without_fingerprint_is_told_by_its_class(folder):
    class Plain:
        def caption(self, images):
            return np.full(len(images), "grey").tolist()

    caption(Plain(), folder, image_size=8)
    assert json.loads((folder / "captioner.json").read_text())["captioner"].startswith("Plain ")


def test_names_in_another_unicode_form_are_not_captioned_again(tmp_path):
    Image.new("RGB", (12, 10), COLORS["red"]).save(tmp_path / "caf\u00e9.png")
    caption(Captioner(), tmp_path)
    # As if the folder had been copied to a Mac.
    (tmp_path / "caf\u00e9.png").rename(tmp_path / "cafe\u0301.png")
    captioner = Captioner()
    assert caption(captioner, tmp_path) == {"cafe\u0301.png": "a red image"} and captioner.calls == []


@pytest.mark.parametrize("name", ["a.TXT", "a.png.txt", "a.caption"])
def test_captions_of_others_are_not_touched_whatever_their_name(folder, name):
    (folder / name).write_text("mine")
    with pytest.raises(FileExistsError, match=f"has captions already: {name}"):
        caption(Captioner(), folder)
