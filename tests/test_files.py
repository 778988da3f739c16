import contextlib
import itertools
import os
import sys
import time

import pytest

from kgen.files import check_writable, whole_directory, whole_file, write_whole


def test_a_file_is_written_whole(tmp_path):
    write_whole(tmp_path / "a.txt", "ä")
    write_whole(str(tmp_path / "a.txt"), b"b")
    assert (tmp_path / "a.txt").read_bytes() == b"b"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_whole(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        assert partial.suffix == ".txt"
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_kill_before_the_end_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "captions.csv"
    write_whole(file, b"old")

    def killed(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(file, b"new, and longer")
    assert file.read_bytes() == b"old"
    monkeypatch.undo()
    write_whole(file, b"new, and longer")
    assert [path.name for path in tmp_path.iterdir()] == ["captions.csv"] and file.read_bytes() == b"new, and longer"


def test_processes_that_write_the_same_file_do_not_meet(tmp_path, monkeypatch):
    with whole_file(tmp_path / "a.txt") as first:
        first.write_text("first")
        monkeypatch.setattr("os.getpid", lambda: -1)
        with whole_file(tmp_path / "a.txt") as second:
            second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["a.weights.h5", "a", ".a"])
def test_the_partial_file_has_the_same_ending(tmp_path, name):
    with whole_file(tmp_path / name) as partial:
        partial.write_text("new")
        assert partial.name != name and partial.name.endswith(name[1:])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_killed_processes_left_is_removed_when_it_is_old(tmp_path):
    for name, age in (
        ("a.1.partial.txt", 4000),
        ("a.2.partial.txt", 10),
        ("b.3.partial.txt", 4000),
        ("a.old.txt", 4000),
    ):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    write_whole(tmp_path / "a.txt", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.2.partial.txt",
        "a.old.txt",
        "a.txt",
        "b.3.partial.txt",
    ]


def test_a_directory_that_is_not_there_is_said_at_once(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="No such directory: '.*/none'"),
        whole_file(tmp_path / "none" / "a.txt"),
    ):
        pass
    with (
        pytest.raises(FileNotFoundError, match="No such directory: '.*/none'"),
        whole_directory(tmp_path / "none" / "a"),
    ):
        pass


# === Directories ===
def write_directory(path, text):
    with whole_directory(path) as partial:
        (partial / "deep").mkdir(parents=True)
        (partial / "deep" / "a.txt").write_text(text)


def read_directory(path):
    return {str(file.relative_to(path)): file.read_text() for file in path.rglob("*") if file.is_file()}


def test_a_directory_takes_the_place_of_an_older_one(tmp_path):
    for text in ("first", "second"):
        write_directory(str(tmp_path / "model"), text)
        (tmp_path / "model" / f"{text}.txt").touch()
        assert read_directory(tmp_path) == {"model/deep/a.txt": text, f"model/{text}.txt": ""}
    (tmp_path / "link").symlink_to(tmp_path / "model")
    write_directory(tmp_path / "link", "third")
    assert (tmp_path / "link").is_symlink() and read_directory(tmp_path / "model") == {"deep/a.txt": "third"}


@pytest.mark.parametrize("moment", range(5))
def test_a_kill_at_any_moment_leaves_a_directory_whole(tmp_path, monkeypatch, moment):
    """A kill runs nothing that comes after it: no cleaning up."""
    write_directory(tmp_path / "model", "old")
    count = itertools.count()

    def killed_in(function):
        def call(*args, **kwargs):
            if next(count) >= moment:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as context:
        for name in ("os.fsync", "os.replace", "shutil.rmtree"):
            module, _, attribute = name.partition(".")
            context.setattr(name, killed_in(getattr(sys.modules[module], attribute)))
        with contextlib.suppress(KeyboardInterrupt):
            write_directory(tmp_path / "model", "new")
    kept = {text for each in tmp_path.iterdir() for text in read_directory(each).values()}
    assert "old" in kept or (tmp_path / "model").exists()

    def fails():
        with whole_directory(tmp_path / "model"):
            assert read_directory(tmp_path / "model") in ({"deep/a.txt": "old"}, {"deep/a.txt": "new"})
            raise RuntimeError

    # The next call finds one of the two, at once, and even if it fails itself.
    with pytest.raises(RuntimeError):
        fails()
    assert read_directory(tmp_path / "model") in ({"deep/a.txt": "old"}, {"deep/a.txt": "new"})
    write_directory(tmp_path / "model", "newer")
    assert read_directory(tmp_path / "model") == {"deep/a.txt": "newer"}


# === Before the work ===
def test_what_can_be_written_is_left_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "old.txt").write_text("old")
    assert check_writable("f", str(tmp_path / "old.txt")) == tmp_path / "old.txt"
    assert (tmp_path / "old.txt").read_text() == "old"
    check_writable("f", tmp_path / "new" / "deep" / "a.txt")
    assert list((tmp_path / "new" / "deep").iterdir()) == []
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_writable("f", "~/a.txt") == tmp_path / "a.txt"


@pytest.mark.parametrize("name", ["folder", "file/a.txt", "x" * 300])
def test_what_cannot_be_written_is_said_at_once(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="^--json: '.*' cannot be written \\(.+\\)\\.$"):
        check_writable("--json", tmp_path / name)


def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    def touch(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", touch)
    with pytest.raises(PermissionError, match="cannot be written .Permission denied"):
        check_writable("f", tmp_path / "a.txt")
