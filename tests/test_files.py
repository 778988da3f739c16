import pytest

from kgen.files import check_writable, whole_file, write_whole


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
