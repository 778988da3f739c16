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
