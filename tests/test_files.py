import pytest

from kgen.files import whole_file, write_whole


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


@pytest.mark.parametrize("name", ["a.weights.h5", "a", ".a"])
def test_the_partial_file_has_the_same_ending(tmp_path, name):
    with whole_file(tmp_path / name) as partial:
        partial.write_text("new")
        assert partial.name != name and partial.name.endswith(name[1:])
    assert [path.name for path in tmp_path.iterdir()] == [name]
