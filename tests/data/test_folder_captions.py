import sys

import pytest
from PIL import Image

from kgen.data.folder_captions import folder_captions


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.jpg", "red_cats/c.png", ".hidden/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    return tmp_path


def found(folder):
    problems = {}
    return folder_captions(folder, lambda name, what: problems.setdefault(name, what)), problems


def test_a_table_comes_before_text_files(folder):
    (folder / "a.txt").write_text("from a text file")
    (folder / "captions.csv").write_text('file_name,text\na.png,"one, two"\na.png,three\n../x.png,no\ngone.png,no\n')
    captions, problems = found(folder)
    assert captions == {"a.png": ["one, two", "three"]}
    assert "leads out of the folder" in problems["../x.png"] and "missing image" in problems["gone.png"]
    assert {"b.jpg", "red_cats/c.png"} <= set(problems)


def test_text_files_come_before_folder_names(folder):
    (folder / "a.txt").write_text("一只猫\n\na cat\n", encoding="utf-8")
    captions, problems = found(folder)
    assert captions == {"a.png": ["一只猫", "a cat"]}
    assert set(problems) == {"b.jpg", "red_cats/c.png"}


def test_folder_names(folder):
    captions, problems = found(folder)
    assert captions == {"red_cats/c.png": ["red cats"]}
    assert set(problems) == {"a.png", "b.jpg"}


def test_no_images_and_no_captions(tmp_path):
    with pytest.raises(ValueError, match="no images"):
        found(tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="no captions. Add captions.csv"):
        found(tmp_path)


# === Names of text files ===
@pytest.mark.parametrize("name", ["a.txt", "a.TXT", "a.png.txt", "a.caption", "a.png.Caption"])
def test_names_of_a_text_file(folder, name):
    (folder / name).write_text("a cat", encoding="utf-8")
    captions, problems = found(folder)
    assert captions == {"a.png": ["a cat"]} and set(problems) == {"b.jpg", "red_cats/c.png"}


def test_of_two_text_files_one_is_named(folder):
    (folder / "a.txt").write_text("a cat")
    (folder / "a.png.txt").write_text("a kitten")
    captions, problems = found(folder)
    assert captions == {"a.png": ["a kitten"]}
    assert "missing image: no image of this name, or its captions come from another" in problems["a.txt"]


def test_a_text_file_in_another_folder_is_another_ones(folder):
    (folder / "c.txt").write_text("a cat")
    assert "c.txt" in found(folder)[1] and found(folder)[0] == {"red_cats/c.png": ["red cats"]}


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not have")
def test_names_with_characters_of_paths(tmp_path):
    names = ["12:30.png", " lead.png", "b\\c.png"]
    for name in names:
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "captions.csv").write_text("file_name,text\n" + "".join(f"{name},a cat\n" for name in names))
    assert found(tmp_path) == ({name: ["a cat"] for name in names}, {})


# === Names in another Unicode form ===
NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("on_disk", "written"), [(NFC, NFD), (NFD, NFC)])
def test_names_are_compared_in_one_unicode_form(tmp_path, on_disk, written):
    Image.new("RGB", (4, 4)).save(tmp_path / f"{on_disk}.png")
    (tmp_path / f"{written}.txt").write_text("from a file")
    assert found(tmp_path) == ({f"{on_disk}.png": ["from a file"]}, {})
    (tmp_path / f"{written}.txt").unlink()
    (tmp_path / "captions.csv").write_text(f"file_name,text\n{written}.png,from a table\n", encoding="utf-8")
    assert found(tmp_path) == ({f"{on_disk}.png": ["from a table"]}, {})


def test_the_name_of_a_folder_becomes_a_caption_in_one_unicode_form(tmp_path):
    (tmp_path / NFD).mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / NFD / "1.png")
    assert found(tmp_path)[0] == {f"{NFD}/1.png": [NFC]}


# === Files that were not used ===
def test_every_file_that_was_not_used_is_named(folder):
    for name in ("notes.md", "red_cats/model.h5", "LICENSE", ".DS_Store", "Thumbs.db"):
        (folder / name).write_text("x")
    for name in ("captioner.json", "teacher.json"):  # kgen's own
        (folder / name).write_text("{}")
    problems = found(folder)[1]
    assert set(problems) == {"a.png", "b.jpg", "notes.md", "red_cats/model.h5", "LICENSE"}
    assert problems["notes.md"] == "not used: neither an image nor a table or text file of captions"
    (folder / "captions.csv").write_text("file_name,text\na.png,a\nb.jpg,b\nred_cats/c.png,c\n")
    (folder / "a.txt").write_text("a")
    problems = found(folder)[1]
    assert set(problems) == {"notes.md", "red_cats/model.h5", "LICENSE", "a.txt"}
    assert problems["a.txt"] == "not read, because captions.csv is there too"


# === Quotes ===
def quoted_table(folder, number, wrong, line):
    """A table of images that do not exist, whose line `wrong` is this one."""
    rows = [f'{i}.png,"the {i}th, of many"' for i in range(number)]
    rows[wrong] = line
    (folder / "captions.csv").write_text("\n".join(["file_name,text", *rows]) + "\n")
    names = {}
    folder_captions(folder, lambda name, what: names.setdefault(name, what))
    return names


@pytest.mark.parametrize("line", ['3.png,"the third', '3.png,"the third, of many', '"3.png,the third'])
@pytest.mark.parametrize("number", [5, 5000])
def test_a_quote_that_is_not_closed_costs_one_row(folder, number, line):
    problems = quoted_table(folder, number, 3, line)
    assert 'line 5 opens a quote that runs into the next lines; inside a text, write ""' == problems["captions.csv"]
    assert {f"{i}.png" for i in range(number) if i != 3} < set(problems) and "3.png" not in problems


@pytest.mark.parametrize("columns", ["text,file_name", "id,text,file_name,source"])
def test_a_quote_that_is_not_closed_where_texts_come_first(tmp_path, columns):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    rows = [f'"row {i}, of some",{i}.png' for i in range(4)]
    rows[1] = '"row 1,1.png'
    if columns.startswith("id"):
        rows = [f"{i},{row},web" for i, row in enumerate(rows)]
    (tmp_path / "captions.csv").write_text("\n".join([columns, *rows]))
    problems = found(tmp_path)[1]
    assert "line 3 opens a quote" in problems["captions.csv"]
    assert set(problems) == {"captions.csv", "a.png", "0.png", "2.png", "3.png"}


def test_texts_of_several_lines_stay(folder):
    (folder / "captions.csv").write_text('text,file_name\n"a cat,\non a ""mat""",a.png\n"a\r\n\r\ndog, b",b.jpg\n')
    captions, problems = found(folder)
    assert captions == {"a.png": ['a cat,\non a "mat"'], "b.jpg": ["a\r\n\r\ndog, b"]}
    assert set(problems) == {"red_cats/c.png"}


def test_a_line_is_named_by_its_number_in_the_file(folder):
    (folder / "captions.csv").write_text('file_name,text\n\na.png,"two\nlines"\n\nb.jpg\na.png,x,y\ngone.png,z\n')
    lines = []
    captions = folder_captions(folder, lambda name, what: lines.append(f"{name}: {what}"))
    assert captions == {"a.png": ["two\nlines"]}
    assert [line for line in lines if "line" in line] == [
        "captions.csv: line 6 does not have one value per column (put a text with a comma in quotes)",
        "captions.csv: line 7 does not have one value per column (put a text with a comma in quotes)",
        "gone.png: missing image (captions.csv line 8)",
    ]


# === Texts that are none ===
def test_captions_that_nobody_sees(folder):
    (folder / "captions.csv").write_text("file_name,text\na.png,\u200b\ufeff\n", encoding="utf-8")
    captions, problems = found(folder)
    assert captions == {} and problems["a.png"] == "empty caption (captions.csv line 2)"
    (folder / "captions.csv").unlink()
    (folder / "a.txt").write_text("\u200b\n\u2060\n", encoding="utf-8")
    (folder / "b.txt").write_text("\u200b\na dog\n", encoding="utf-8")
    captions, problems = found(folder)
    assert captions == {"b.jpg": ["a dog"]} and problems["a.png"] == "empty caption: nothing in a.txt"


def test_half_of_a_surrogate_pair(folder):
    rows = ['{"file_name": "a.png", "text": "a cat \\ud83d"}', '{"file_name": "\\ud83d.png", "text": "a"}']
    rows += ['{"file_name": "b.jpg", "text": "a cat \\ud83d\\ude00"}']
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    captions, problems = found(folder)
    assert captions == {"b.jpg": ["a cat \U0001f600"]}
    assert problems["a.png"] == "not Unicode (half of a surrogate pair) (metadata.jsonl line 1)"
    assert problems["metadata.jsonl"] == "line 2: the file's name is not Unicode (half of a surrogate pair)"
