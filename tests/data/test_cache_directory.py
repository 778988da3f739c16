from pathlib import Path

from kgen.data.cache_directory import cache_directory


def test_order_of_preference(monkeypatch):
    monkeypatch.delenv("KGEN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_directory() == Path.home() / ".cache" / "kgen"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_directory() == Path("/xdg/kgen")
    monkeypatch.setenv("KGEN_CACHE", "/own")
    assert cache_directory() == Path("/own")
    assert cache_directory("~/mine") == Path.home() / "mine"
