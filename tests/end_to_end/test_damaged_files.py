"""Readers of kgen with damaged files: an error that names the file, in time, and no crash.

Each test makes its files from a seed. `KGEN_DAMAGED=2000 pytest -m slow tests/end_to_end/test_damaged_files.py` takes
more of them.
"""

import contextlib
import io
import json
import os
import random
import signal
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from kgen.command import run as run_command
from kgen.command.wrong_use import WrongUse
from kgen.data import ImageFolder, captioned_folder
from kgen.keras_file import load_keras_file
from kgen.presets import load_preset
from tests.models import tiny

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("KGEN_DAMAGED", "100"))
SECONDS = 20
HOSTILE = [
    None,
    True,
    -1,
    0,
    1,
    10**6,
    10**12,
    2**63,
    1e308,
    "",
    "../../x",
    "/etc/passwd",
    "http://localhost/x",
    [],
    {},
]


# === What damages ===
def damaged(content, numbers):
    """Bytes with one to four changes: bits, cuts, repeats, and what readers stumble over."""
    content = bytearray(content)
    for _ in range(numbers.randint(1, 4)):
        at, length = numbers.randrange(len(content) + 1), numbers.choice([1, 2, 8, 200])
        kind = numbers.randrange(6)
        if kind == 0 and at < len(content):
            content[at] ^= 1 << numbers.randrange(8)
        elif kind == 1:
            del content[at : at + length]
        elif kind == 2:
            content[at:at] = content[at : at + length] * numbers.choice([1, 50])
        elif kind == 3:
            content[at:at] = numbers.randbytes(length)
        elif kind == 4:
            content[at:at] = numbers.choice([b"\0", b'"', b"\n", b",", b"\xff\xfe", b"[" * 100_000, b"a" * 300, b"../"])
        else:
            del content[at:]
    return bytes(content)


def hostile(value, numbers):
    """JSON with one value in it replaced by another, or all under a key gone."""
    value = json.loads(json.dumps(value))
    places = []

    def visit(part):
        for key in list(part) if isinstance(part, dict) else range(len(part)):
            places.append((part, key))
            if isinstance(part[key], (dict, list)):
                visit(part[key])

    visit(value)
    part, key = numbers.choice(places)
    kind = numbers.randrange(4)
    if kind == 0 and isinstance(part, dict):
        del part[key]
    elif kind == 1 and isinstance(part[key], (int, float)):
        part[key] = part[key] * numbers.choice([-1, 1000, 10**6, 10**9])
    elif kind == 2:
        part[key] = [part[key]] * numbers.choice([2, 1000])
    else:
        part[key] = numbers.choice(HOSTILE)
    return value


@contextlib.contextmanager
def in_time():
    """An error after some seconds."""

    def stop(*_):
        raise AssertionError(f"it took more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def checked(read, names, kinds=ValueError):
    """Whether it was read; else the error was of these kinds, in one line, and named the file."""
    try:
        with in_time():
            read()
        return True
    except kinds as error:
        text = str(error)
        assert any(name in text for name in names), text[:500]
        assert "\n" not in text and len(text) < 5000, text[:500]
        return False


def rewritten(file, target, **changed):
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in {**parts, **changed}.items():
            archive.writestr(name, content)


# === Readers ===
def test_images(tmp_path):
    numbers, colours = random.Random(0), np.random.default_rng(0).integers(0, 256, (23, 31, 3), "uint8")
    formats = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]
    contents = []
    for kind in formats:
        stream = io.BytesIO()
        Image.fromarray(colours).save(stream, kind)
        contents.append(stream.getvalue())
    folder = ImageFolder(_written(tmp_path / "a.png", contents[0]).parent, 16, on_error="raise")
    read = 0
    for i in range(COUNT):
        _written(tmp_path / "a.png", damaged(contents[i % len(contents)], numbers))
        read += checked(lambda: list(folder.batches(1)), ["a.png"])
    assert 0 < read < COUNT


@pytest.mark.parametrize("table", ["captions.csv", "metadata.jsonl", "a.txt"])
def test_captions(tmp_path, table):
    numbers = random.Random(1)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    rows = [(f"{name}.png", f"a {word} cat") for name in "ab" for word in ("black", 'big, "white"', "grün")]
    contents = {
        "captions.csv": "file_name,text\n" + "".join('{},"{}"\n'.format(n, t.replace('"', '""')) for n, t in rows),
        "metadata.jsonl": "".join(json.dumps({"file_name": name, "text": text}) + "\n" for name, text in rows),
        "a.txt": "\n".join(text for _, text in rows),
    }
    read = 0
    for _ in range(COUNT):
        _written(tmp_path / table, damaged(contents[table].encode(), numbers))
        read += checked(lambda: captioned_folder(tmp_path, 8, verbose=0), [str(tmp_path), table])
    assert 0 < read


def test_presets(tmp_path):
    numbers = random.Random(2)
    tiny.gan().save_to_preset(tmp_path / "gan")
    file = tmp_path / "gan" / "preset.json"
    content = file.read_bytes()
    description = json.loads(content)
    for i in range(COUNT):
        changed = json.dumps(hostile(description, numbers)).encode() if i % 2 else damaged(content, numbers)
        _written(file, changed)
        checked(lambda: load_preset(tmp_path / "gan"), [str(tmp_path / "gan")])


def test_configs_of_models(tmp_path):
    numbers = random.Random(3)
    tiny.gan().save(tmp_path / "gan.keras")
    with zipfile.ZipFile(tmp_path / "gan.keras") as archive:
        content = archive.read("config.json")
    config, file = json.loads(content), tmp_path / "a.keras"
    for i in range(COUNT):
        changed = damaged(content, numbers) if i % 4 == 0 else json.dumps(hostile(config, numbers)).encode()
        rewritten(tmp_path / "gan.keras", file, **{"config.json": changed})
        checked(lambda: load_keras_file(file), [str(file)])


def test_files_of_models(tmp_path):
    numbers = random.Random(4)
    tiny.gan().save(tmp_path / "gan.keras")
    content, file = (tmp_path / "gan.keras").read_bytes(), tmp_path / "a.keras"
    for _ in range(COUNT):
        _written(file, damaged(content, numbers))
        checked(lambda: load_keras_file(file), [str(file)])


def test_run_files(tmp_path, monkeypatch):
    numbers = random.Random(5)
    described = {
        "format": 1,
        "command": "info",
        "arguments": ["openmoji_64"],
        "directory": str(tmp_path),
        "output": "a.json",
        "inputs": {},
        "backend": "tensorflow",
    }
    file = tmp_path / "a.run.json"
    content = json.dumps(described).encode()
    for i in range(COUNT):
        changed = json.dumps(hostile(described, numbers)).encode() if i % 2 else damaged(content, numbers)
        _written(file, changed)
        checked(lambda: run_command._read(file), [str(file)], (ValueError, WrongUse))


def _written(path, content):
    path.write_bytes(content)
    return path
