import json
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from kgen import progress
from kgen.data import captioned_folder

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def paint(path, color="red", size=(12, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLORS[color]).save(path)


@pytest.fixture
def folder(tmp_path):
    for color in COLORS:
        paint(tmp_path / f"{color}.png", color)
    return tmp_path


def table(folder, *rows, name="captions.csv", header="file_name,text", encoding="utf-8"):
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding=encoding)


def load(folder, **options):
    """Loads what must give no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return captioned_folder(folder, image_size=8, **options)


def load_with_problems(folder, count):
    with pytest.warns(UserWarning, match=f"captioned_folder: {count} problems") as caught:
        data = captioned_folder(folder, image_size=8)
    assert len(caught) == 1 and len(data.report) == count
    for line in data.report[:10]:
        assert line in str(caught[0].message)
    return data


@pytest.mark.parametrize("name", ["captions.csv", "metadata.csv"])
def test_csv_with_several_captions_an_image(folder, name):
    table(
        folder, "red.png,a red square", 'green.png,"green, and flat"', "red.png,红色的方块", "blue.png,blue", name=name
    )
    data = load(folder)
    assert data.file_names == ["red.png", "green.png", "blue.png"]
    assert data.captions == [["a red square", "红色的方块"], ["green, and flat"], ["blue"]]
    assert data.images.shape == (3, 8, 8, 3) and data.images.dtype == np.uint8
    assert [tuple(image[4, 4]) for image in data.images] == list(COLORS.values())
    assert data.report == []


def test_csv_as_excel_writes_it(folder):
    table(folder, "1,red.png,a", "2,green.png,b", "3,blue.png,c", header="id,file_name,text", encoding="utf-8-sig")
    assert load(folder).captions == [["a"], ["b"], ["c"]]


def test_jsonl_with_lists(folder):
    rows = [{"file_name": "red.png", "text": ["a", "一"]}, {"file_name": "green.png", "text": "b"}]
    rows.append({"file_name": "blue.png", "text": "c"})
    (folder / "metadata.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert load(folder).captions == [["a", "一"], ["b"], ["c"]]


def test_text_files(folder):
    (folder / "red.txt").write_text("a red square\n\n  红  \n", encoding="utf-8")
    (folder / "green.txt").write_text("green", encoding="utf-8-sig")
    (folder / "blue.txt").write_text("blue", encoding="utf-8")
    data = load(folder)
    assert dict(zip(data.file_names, data.captions, strict=True)) == {
        "red.png": ["a red square", "红"],
        "green.png": ["green"],
        "blue.png": ["blue"],
    }


def test_sub_folder_names(tmp_path):
    paint(tmp_path / "animals" / "black_cat" / "1.jpg")
    paint(tmp_path / "red-apple" / "1.webp")
    data = load(tmp_path)
    assert data.file_names == ["animals/black_cat/1.jpg", "red-apple/1.webp"]
    assert data.captions == [["black cat"], ["red apple"]]


def test_file_names_in_sub_folders(tmp_path):
    paint(tmp_path / "猫" / "一.png")
    table(tmp_path, "./猫\\一.png,一只猫")
    assert load(tmp_path).file_names == ["猫/一.png"]


def test_everything_unusable_is_named(folder):
    (folder / "broken.png").write_bytes(b"no image at all")
    (folder / "cut.png").write_bytes((folder / "red.png").read_bytes()[:40])
    paint(folder / "silent.png")
    table(
        folder,
        "red.png,red",
        "red.png,red",
        "green.png,  ",
        "gone.png,nothing",
        "broken.png,broken",
        "cut.png,cut",
        "../secret.png,secret",
        "/etc/secret.png,secret",
        "a,b,c",
        "blue.png,blue",
    )
    data = load_with_problems(folder, 9)
    assert data.file_names == ["red.png", "blue.png"] and data.captions == [["red"], ["blue"]]
    report = "\n".join(data.report)
    for words in (
        "red.png: duplicate row (captions.csv line 3)",
        "green.png: empty caption (captions.csv line 4)",
        "gone.png: missing image (captions.csv line 5)",
        "broken.png: unreadable image",
        "cut.png: unreadable image",
        "../secret.png: leads out of the folder",
        "/etc/secret.png: leads out of the folder",
        "captions.csv: line 10 does not have one value per column",
        "silent.png: no caption in captions.csv",
    ):
        assert words in report


def test_the_warning_names_ten_and_counts_the_rest(folder):
    table(folder, "red.png,red", "green.png,green", "blue.png,blue", *(f"gone{i}.png,x" for i in range(14)))
    with pytest.warns(UserWarning, match=r"14 problems .*gone9\.png.*; and 4 more\. All are in `\.report`"):
        data = captioned_folder(folder, image_size=8)
    assert len(data.report) == 14


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["red.png,red", "red.png,red"], "red.png: duplicate row"),
        (["red.png,"], "red.png: empty caption"),
        (["gone.png,gone"], "gone.png: missing image"),
        (["broken.png,broken", "red.png,r", "green.png,g", "blue.png,b"], "broken.png: unreadable image"),
        (["../red.png,red"], "../red.png: leads out of the folder"),
        (["red.png,red"], "blue.png: no caption"),
    ],
)
def test_on_error_raise(folder, rows, message):
    (folder / "broken.png").write_bytes(b"no image at all")
    table(folder, *rows)
    with pytest.raises(ValueError, match=f"captioned_folder: {message}"):
        captioned_folder(folder, image_size=8, on_error="raise")


def test_bad_lines_of_jsonl(folder):
    lines = ['{"file_name": "red.png", "text": "red"}', "{oops", "[1]", '{"file_name": "blue.png", "text": 3}']
    lines += ['{"file_name": "green.png", "text": []}', '{"text": "no name"}']
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    data = load_with_problems(folder, 6)
    assert data.file_names == ["red.png"]
    assert [line.split(":")[0] for line in data.report] == [
        *["metadata.jsonl"] * 3,
        "green.png",
        "metadata.jsonl",
        "blue.png",
    ]


def test_bad_text_files(folder):
    (folder / "red.txt").write_text("red\nred\n", encoding="utf-8")
    (folder / "green.txt").write_text(" \n", encoding="utf-8")
    (folder / "orphan.txt").write_text("orphan", encoding="utf-8")
    paint(folder / "latin.png")
    (folder / "latin.txt").write_bytes("café".encode("latin-1"))
    data = load_with_problems(folder, 5)
    assert data.captions == [["red"]]
    report = "\n".join(data.report)
    for words in (
        "blue.png: no caption: blue.txt is missing",
        "green.png: empty caption",
        "latin.png: latin.txt is not",
    ):
        assert words in report
    assert "red.png: duplicate line" in report and "orphan.txt: missing image" in report


def test_images_that_pillow_does_not_read_are_named(folder):
    paint(folder / "tiff.tif")
    (folder / "photo.heic").write_bytes(b"x")
    for name in ("red", "green", "blue", "tiff", "photo"):
        (folder / f"{name}.txt").write_text(name)
    (folder / "README.md").write_text("about")
    data = load_with_problems(folder, 2)
    assert data.file_names == ["blue.png", "green.png", "red.png", "tiff.tif"]
    assert "README.md: not used" in data.report[0] and "photo.heic: unreadable image" in data.report[1]


def test_an_image_beside_the_sub_folders_is_named(tmp_path):
    paint(tmp_path / "cats" / "1.png")
    paint(tmp_path / "loose.png")
    assert load_with_problems(tmp_path, 1).report[0].startswith("loose.png: no caption")


def test_a_second_table_is_named(folder):
    table(folder, "red.png,a", "green.png,b", "blue.png,c")
    table(folder, "red.png,z", name="metadata.csv")
    assert load_with_problems(folder, 1).report == ["metadata.csv: not read, because captions.csv is there too"]


def test_no_such_folder(tmp_path):
    with pytest.raises(ValueError, match="captioned_folder: path must be a folder.*nowhere' does not exist"):
        captioned_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="file' is a file"):
        captioned_folder(tmp_path / "file")


def test_no_images(tmp_path):
    with pytest.raises(ValueError, match="captioned_folder: there are no images in"):
        captioned_folder(tmp_path)


def test_no_captions(folder):
    with pytest.raises(ValueError, match="3 images in .* but no captions. Add captions.csv"):
        captioned_folder(folder)


def test_nothing_usable(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    table(tmp_path, "a.png,a")
    with pytest.raises(ValueError, match="no image could be used. 1 problems in .*a.png: unreadable"):
        captioned_folder(tmp_path)


def test_a_table_without_the_columns(folder):
    table(folder, "red.png,red", header="image,caption")
    with pytest.raises(ValueError, match="captions.csv must begin with a line naming .* got image,caption"):
        captioned_folder(folder)


def test_a_table_that_is_not_utf8(folder):
    table(folder, "red.png,café", encoding="latin-1")
    with pytest.raises(ValueError, match="captions.csv must be a CSV file in UTF-8"):
        captioned_folder(folder)


@pytest.mark.parametrize(
    "options", [{"on_error": "ignore"}, {"resize": "fit"}, {"image_size": 0}, {"channels": 2}, {"background": "?"}]
)
def test_refuses_options(folder, options):
    with pytest.raises(ValueError, match=f"captioned_folder: {next(iter(options))} must"):
        captioned_folder(folder, **options)


def test_many_pixels_live_in_a_file(folder, monkeypatch):
    monkeypatch.setattr(sys.modules["kgen.data.pixel_store"], "IN_MEMORY_LIMIT", 64)
    table(folder, "red.png,a", "green.png,b", "blue.png,c")
    data = load(folder)
    assert isinstance(data.images, np.memmap) and tuple(data.images[2, 4, 4]) == COLORS["blue"]
    train, _ = data.split(1)
    assert isinstance(train.images, np.memmap) and len(train) == 2
    assert data.arrays(expand=True)[0].shape == (3, 8, 8, 3)


def test_progress_is_shown_for_long_work_only(folder, monkeypatch, capsys):
    table(folder, "red.png,a", "green.png,b", "blue.png,c")
    monkeypatch.setattr(progress, "_PATIENCE", 60.0)
    load(folder)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    load(folder)
    assert "3/3" in capsys.readouterr().out
    load(folder, verbose=False)
    assert capsys.readouterr().out == ""


# === Folders from somewhere else ===
def test_links_that_lead_out_are_read_only_on_request(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    paint(outside / "secret.png")
    (outside / "captions.csv").write_text("file_name,text\nred.png,secret\n")
    (folder / "link.png").symlink_to(outside / "secret.png")
    (folder / "inside.png").symlink_to("red.png")
    (folder / "elsewhere").symlink_to(outside, target_is_directory=True)
    rows = ["red.png,red", "green.png,green", "blue.png,blue", "inside.png,red too", "link.png,a secret"]
    table(folder, *rows, "elsewhere/secret.png,another")
    data = load_with_problems(folder, 3)
    assert data.file_names == ["red.png", "green.png", "blue.png", "inside.png"]
    assert data.report[0] == "link.png: a link that leads out of the folder; follow_links=True reads it"
    assert data.report[2] == "elsewhere/secret.png: a link that leads out of the folder (captions.csv line 7)"
    assert len(load(folder, follow_links=True).file_names) == 6
    with pytest.raises(ValueError, match="captioned_folder: link.png: a link that leads out"):
        captioned_folder(folder, image_size=8, on_error="raise")
    # A table that is such a link is not read, either.
    (folder / "captions.csv").unlink()
    (folder / "captions.csv").symlink_to(outside / "captions.csv")
    with pytest.raises(ValueError, match="no captions"):
        captioned_folder(folder, image_size=8)


def test_a_name_that_is_too_long_and_brackets_in_brackets_are_problems(folder):
    rows = ["red.png,red", "green.png,green", "blue.png,blue", "a" * 300 + ".png,long"]
    table(folder, *rows)
    assert "missing image (captions.csv line 5)" in load_with_problems(folder, 1).report[0]
    (folder / "captions.csv").unlink()
    lines = [json.dumps({"file_name": f"{color}.png", "text": color}) for color in COLORS]
    table(folder, *lines[1:], "[" * 200_000, name="metadata.jsonl", header=lines[0])
    assert "line 4 is not JSON" in load_with_problems(folder, 1).report[0]
