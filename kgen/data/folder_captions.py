"""The captions in a folder of images: in a table, in text files, or in the names of sub-folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from kgen.data.image_folder import image_files

CAPTION_TABLES = ("captions.csv", "metadata.csv", "metadata.jsonl")


def folder_captions(folder: Path, problem: Callable[[str, str], None]) -> dict[str, list[str]]:
    """Finds the images in a folder and the captions of each, in one of the three places that `captioned_folder` lists.

    Args:
        folder: path of a directory.
        problem: called with `(file_name, what)` for everything that had to be left out.

    Returns:
        A dict from file name (relative, with `/`) to a non-empty list of captions.

    Raises:
        ValueError: the folder has no images, nothing that could be a caption, or an unreadable table.
    """
    images = image_files(folder, "captioned_folder")
    tables = [name for name in CAPTION_TABLES if (folder / name).is_file()]
    for name in tables[1:]:
        problem(name, f"not read, because {tables[0]} is there too")
    if tables:
        return _from_table(folder, tables[0], images, problem)
    if any(_text_file(folder, name).is_file() for name in images):
        return _from_text_files(folder, images, problem)
    if any("/" in name for name in images):
        return _from_sub_folders(images, problem)
    raise ValueError(
        f"captioned_folder: there are {len(images)} images in '{folder}' but no captions. Add captions.csv with "
        "the columns file_name,text, or a .txt file of the same name per image, or sort the images into "
        "sub-folders named after what they show."
    )


def _from_table(folder, table, images, problem):
    rows = _jsonl_rows(folder / table, problem) if table.endswith(".jsonl") else _csv_rows(folder / table, problem)
    captions, named = {}, set()
    for line, file_name, text in rows:
        name = _inside(file_name)
        named.add(name)
        if name is None:
            problem(file_name, f"leads out of the folder ({table} line {line})")
        elif not (folder / name).is_file():
            problem(name, f"missing image ({table} line {line})")
        elif not text.strip():
            problem(name, f"empty caption ({table} line {line})")
        elif text.strip() in captions.get(name, ()):
            problem(name, f"duplicate row ({table} line {line})")
        else:
            captions.setdefault(name, []).append(text.strip())
    for name in images:
        if name not in named:
            problem(name, f"no caption in {table}")
    return captions


def _csv_rows(path, problem):
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            if "file_name" not in columns or "text" not in columns:
                raise ValueError(
                    f"captioned_folder: {path.name} must begin with a line naming the columns file_name,text; "
                    f"got {','.join(columns) or 'an empty file'}."
                )
            for row in reader:
                if row["file_name"] is None or row["text"] is None or None in row:
                    problem(path.name, f"line {reader.line_num} has not one value per column (a comma needs quotes)")
                else:
                    yield reader.line_num, row["file_name"], row["text"]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"captioned_folder: {path.name} must be a CSV file in UTF-8; {error}.") from error


def _jsonl_rows(path, problem):
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except ValueError as error:  # broken JSON or broken UTF-8
            problem(path.name, f"line {number} is not JSON: {error}")
            continue
        texts = row.get("text") if isinstance(row, dict) else None
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in (row.get("file_name"), *texts)):
            problem(path.name, f'line {number} must be like {{"file_name": "a.png", "text": "a cat"}}')
            continue
        for text in texts or [""]:
            yield number, row["file_name"], text


def _from_text_files(folder, images, problem):
    captions = {}
    for name in images:
        path = _text_file(folder, name)
        if not path.is_file():
            problem(name, f"no caption: {path.name} is missing")
            continue
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            problem(name, f"{path.name} is not UTF-8: {error}")
            continue
        if not lines:
            problem(name, f"empty caption: nothing in {path.name}")
            continue
        captions[name] = list(dict.fromkeys(lines))
        if len(captions[name]) < len(lines):
            problem(name, f"duplicate line in {path.name}")
    expected = {_text_file(folder, name) for name in images}
    for path in sorted(folder.rglob("*.txt")):
        if path not in expected:
            problem(path.relative_to(folder).as_posix(), "missing image: a text file without an image of its name")
    return captions


def _from_sub_folders(images, problem):
    captions = {}
    for name in images:
        text = " ".join(PurePosixPath(name).parent.name.replace("_", " ").replace("-", " ").split())
        if text:
            captions[name] = [text]
        else:
            problem(name, "no caption: not in a sub-folder that says what it shows")
    return captions


def _text_file(folder, name):
    return (folder / name).with_suffix(".txt")


def _inside(file_name):
    """The file name as in the directory listing, or None if it leads out of the folder."""
    path = PurePosixPath(file_name.strip().replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or ":" in (path.parts or [""])[0]
    return None if outside else path.as_posix()
