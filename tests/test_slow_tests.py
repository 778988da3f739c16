"""What runs in CI only."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import pytest_runtest_setup

ROOT = Path(__file__).parents[1]
LISTED = ROOT.joinpath("tests", "slow_tests.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", LISTED)
def test_what_is_listed_is_there_and_marked(line, request):
    path, name = re.fullmatch(r"([^:]+?)(?:::(\w+)(?:\[.*\])?)?", line).groups()
    assert (ROOT / path).exists()
    assert name is None or f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8")
    chosen = [
        item for item in request.session.items if f"{item.nodeid}[/".startswith(tuple(f"{line}{end}" for end in "[:/"))
    ]
    assert all(item.get_closest_marker("slow") for item in chosen)


@pytest.mark.parametrize(
    ("marks", "deadline", "skipped"), [("slow", "0", True), ("", "0", False), ("slow", "9e9", False)]
)
def test_only_slow_ones_are_skipped_when_time_has_run_out(monkeypatch, marks, deadline, skipped):
    monkeypatch.setenv("KGEN_DEADLINE", deadline)
    item = SimpleNamespace(get_closest_marker=lambda name: name if name in marks else None)
    try:
        pytest_runtest_setup(item)
    except pytest.skip.Exception:
        assert skipped
    else:
        assert not skipped
