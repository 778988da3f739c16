"""The captions in a folder of images: from a table, text files, or the names of sub-folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from kgen.captions import caption_fault
from kgen.checks import one_line
from kgen.data.image_folder import image_files, is_file, leads_out, links_out, same_name, visible_files
from kgen.data.read_image import is_image_name
from kgen.data.resumable import CAPTIONER, SO_FAR, TEACHER

CAPTION_TABLES = ("captions.csv", "metadata.csv", "metadata.jsonl")
_TEXT_SUFFIXES = (".txt", ".caption")
_OF_KGEN = (CAPTIONER, SO_FAR, TEACHER)


def folder_captions(
    folder: Path, problem: Callable[[str, str], None], follow_links: bool = False
) -> dict[str, list[str]]:
    """Finds the images in a folder and the captions of each, in one of the three places that `captioned_folder` lists.

    Args:
        folder: path of a directory.
        problem: called with `(file_name, what)` for everything that is left out.
        follow_links: whether to read links that lead out of the folder.

    Returns:
        A dict from file name (relative, with `/`) to a non-empty list of captions.

    Raises:
        ValueError: the folder has no images, nothing that could be a caption, or an unreadable table.
    """
    images = image_files(folder, "captioned_folder", follow_links)
    for name in () if follow_links else links_out(folder):
        problem(name, "a link that leads out of the folder; follow_links=True reads it")
    visible = visible_files(folder, follow_links)
    table = next((name for name in CAPTION_TABLES if name in visible), None)
    texts = {} if table else text_files(visible, images)
    if table:
        captions = _from_table(folder, table, images, problem, visible, follow_links)
    elif texts:
        captions = _from_text_files(folder, images, texts, problem)
    elif any("/" in name for name in images):
        captions = _from_sub_folders(images, problem)
    else:
        raise ValueError(
            f"captioned_folder: there are {len(images)} images in '{folder}' but no captions. Add captions.csv with "
            "the columns file_name,text, or a .txt file of the same name per image, or sort the images into "
            "sub-folders named after what they show."
        )
    _name_unused(visible, {*images, table, *texts.values()}, table, problem)
    return captions


def text_files(visible: list[str], images: list[str]) -> dict[str, str]:
    """The text file of each image that has one: for `a.png` a visible `a.txt`, `a.png.txt`, `a.caption` or `a.TXT`."""
    found: dict[str, str] = {}
    for name in visible:
        stem, dot, suffix = same_name(name).rpartition(".")
        if dot + suffix.lower() in _TEXT_SUFFIXES:
            found.setdefault(stem, name)
    stems = {name: [same_name(name), same_name(name).rpartition(".")[0]] for name in images}
    return {name: found[stem] for name in images for stem in reversed(stems[name]) if stem in found}


def _name_unused(visible, used, table, problem):
    """Reports files that are neither images nor captions, and caption files that were not read."""
    for name in visible:
        if name in used or name in _OF_KGEN:
            continue
        is_text = name.lower().endswith(_TEXT_SUFFIXES)
        if table and (is_text or name in CAPTION_TABLES):
            problem(name, f"not read, because {table} is there too")
        elif is_text:
            problem(name, "missing image: no image of this name, or its captions come from another text file")
        else:
            problem(name, "not used: neither an image nor a table or text file of captions")


def _from_table(folder, table, images, problem, visible, follow_links):
    files = {same_name(name): name for name in visible}
    rows = _jsonl_rows if table.endswith(".jsonl") else _csv_rows
    captions, named = {}, set()
    for line, file_name, text in rows(folder / table, files, problem):
        # A name from the listing stays inside, whatever characters it has.
        name = files.get(same_name(file_name)) or _inside(file_name)
        if name is not None and not is_file(folder / name):
            name = files.get(same_name(name), name)
        named.add(name)
        if name is None:
            problem(file_name, f"leads out of the folder ({table} line {line})")
        elif not is_file(folder / name):
            problem(name, f"missing image ({table} line {line})")
        elif not follow_links and leads_out(folder, name):
            problem(name, f"a link that leads out of the folder ({table} line {line})")
        elif fault := caption_fault(text):
            problem(name, f"{fault} ({table} line {line})")
        elif text.strip() in captions.get(name, ()):
            problem(name, f"duplicate row ({table} line {line})")
        else:
            captions.setdefault(name, []).append(text.strip())
    for name in images:
        if name not in named:
            problem(name, f"no caption in {table}")
    return captions


def _csv_rows(path, files, problem):
    try:
        # Line ends are left as they are, for the csv module.
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = file.readlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"captioned_folder: {path.name} must be a CSV file in UTF-8; {error}.") from error
    columns, at = _csv_row(lines, 0)
    if not columns or "file_name" not in columns or "text" not in columns:
        raise ValueError(
            f"captioned_folder: {path.name} must begin with a line naming the columns file_name,text; "
            f"got {one_line(','.join(columns or ()), 100) or 'an empty file'}."
        )
    name, text = columns.index("file_name"), columns.index("text")
    # The file name's index in a row, counted from the side where the text does not come in between.
    position = name if name < text else name - len(columns)
    while at < len(lines):
        start = at
        cells, at = _csv_row(lines, start)
        if cells is None or any(_holds_rows(cell, position, files) for cell in cells):
            # The other lines are read as if this one did not exist.
            at = start + 1
            problem(path.name, f'line {at} opens a quote that runs into the next lines; inside a text, write ""')
        elif len(cells) > len(columns) or len(cells) <= max(name, text) and cells:
            problem(path.name, f"line {at} does not have one value per column (put a text with a comma in quotes)")
        elif cells:
            yield at, cells[name], cells[text]


def _csv_row(lines, start):
    """The row that begins at a line (None if a field is too long), and the number of the line after it."""
    reader = csv.reader(lines[i] for i in range(start, len(lines)))
    try:
        return next(reader, []), start + reader.line_num
    except csv.Error:
        return None, start + 1


def _holds_rows(cell, position, files):
    """Whether lines inside a cell are really rows of the table, with a file name at this position."""
    lines = cell.splitlines()
    # The first line lacks the cells before this one, and the last line those after it.
    rows = [_csv_row([line], 0)[0] or [] for line in (lines[1:] if position >= 0 else lines[:-1])]
    names = [_inside(cell) for row in rows for cell in row[position:][:1]]
    return any(name is not None and (same_name(name) in files or is_image_name(name)) for name in names)


def _jsonl_rows(path, files, problem):
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:  # broken JSON or UTF-8, or too deeply nested
            problem(path.name, f"line {number} is not JSON: {error}")
            continue
        texts = row.get("text") if isinstance(row, dict) else None
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in (row.get("file_name"), *texts)):
            problem(path.name, f'line {number} must be like {{"file_name": "a.png", "text": "a cat"}}')
            continue
        if caption_fault(row["file_name"]):
            problem(path.name, f"line {number}: the file's name is {caption_fault(row['file_name'])}")
            continue
        for text in texts or [""]:
            yield number, row["file_name"], text


def _from_text_files(folder, images, texts, problem):
    captions = {}
    for name in images:
        if name not in texts:
            problem(name, f"no caption: {PurePosixPath(name).with_suffix('.txt').name} is missing")
            continue
        file = PurePosixPath(texts[name]).name
        try:
            lines = (folder / texts[name]).read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            problem(name, f"{file} is not UTF-8: {error}")
            continue
        lines = [line.strip() for line in lines if not caption_fault(line)]
        if not lines:
            problem(name, f"empty caption: nothing in {file}")
            continue
        captions[name] = list(dict.fromkeys(lines))
        if len(captions[name]) < len(lines):
            problem(name, f"duplicate line in {file}")
    return captions


def _from_sub_folders(images, problem):
    captions = {}
    for name in images:
        text = " ".join(same_name(PurePosixPath(name).parent.name).replace("_", " ").replace("-", " ").split())
        fault = caption_fault(text)
        if not fault:
            captions[name] = [text]
        elif text:
            problem(name, f"{fault} in the name of its folder")
        else:
            problem(name, "no caption: not in a sub-folder named after what it shows")
    return captions


def _inside(file_name):
    """The file name as in a directory listing, or None if it leads out of the folder."""
    path = PurePosixPath(file_name.strip().replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or ":" in (path.parts or [""])[0]
    return None if outside else path.as_posix()
