import pytest

from kgen import progress
from kgen.progress import Progress


def test_silent_by_0_and_a_bar_from_the_beginning_by_1(capsys):
    Progress(3, verbose=0).add(3)
    assert capsys.readouterr().out == ""
    bar = Progress(3, "tile", verbose=1)
    bar.add(1)
    assert "1/3" in capsys.readouterr().out


def test_by_default_a_bar_appears_once_work_is_long(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = Progress(3)
    bar.add(1)
    assert capsys.readouterr().out == ""
    now[0] = 2.5
    bar.add(1)
    assert "2/3" in capsys.readouterr().out


def test_within_silent_work_no_bar_appears_by_itself(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with progress.silent(0), progress.silent("auto"):
        Progress(3).add(1)
        assert capsys.readouterr().out == ""
        Progress(3, verbose=1).add(1)
        assert "1/3" in capsys.readouterr().out
    with progress.silent("auto"):
        Progress(3).add(1)
    assert "1/3" in capsys.readouterr().out


def test_another_verbose_is_refused():
    with pytest.raises(ValueError, match="verbose must be 0, 1 or 'auto'; got 'loud'"):
        Progress(3, verbose="loud")
