import sys

import pytest

from kgen.command import demo, program


class Page:
    """Stands for the page, which has tests of its own."""

    opened = []

    def __init__(self, model, name):
        self.model, self.name = model, name

    def open(self, *asked):
        self.opened.append((type(self.model).__name__, self.name, *asked))
        return "http://127.0.0.1:7860/"

    def close(self):
        self.opened.append("closed")


@pytest.fixture
def opened(monkeypatch):
    """What was asked of the page, which is interrupted as soon as it is there."""

    def interrupted():
        raise KeyboardInterrupt

    stands_for = type(sys)("kgen.command.demo_page")
    stands_for.DemoPage = Page
    monkeypatch.setitem(sys.modules, "gradio", type(sys)("gradio"))
    monkeypatch.setitem(sys.modules, "kgen.command.demo_page", stands_for)
    monkeypatch.setattr(demo, "_wait", interrupted)
    monkeypatch.setattr(Page, "opened", [])
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED", raising=False)
    return Page.opened


def test_it_serves_until_it_is_interrupted(kgen, opened, trained_text_to_image):
    code, out, err = kgen("demo", trained_text_to_image, "--port", 8000, "--host", "0.0.0.0")
    assert (code, out) == (0, "") and "the page is at http://127.0.0.1:7860/. Press Ctrl+C to stop." in err
    assert opened == [("TextToImage", str(trained_text_to_image), "0.0.0.0", 8000, False), "closed"]


def test_it_is_for_this_machine_alone_unless_asked(opened):
    options = program.parser("demo").parse_args(["demo"])
    assert (options.model, options.host, options.port, options.share) == ("avatars_128", "127.0.0.1", None, False)
    assert program.parser("demo").parse_args(["demo", "openmoji_128", "--share"]).share is True


def test_gradio_hears_of_no_start(kgen, opened, trained_text_to_image):
    import os

    assert kgen("demo", trained_text_to_image)[0] == 0
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_wrong_use(failed, monkeypatch, opened):
    assert "denoise_photo is of class ImageRestorer; this command takes TextToImage" in failed(
        2, "demo", "denoise_photo"
    )
    assert "there is no model 'avatars'" in failed(2, "demo", "avatars")
    assert "must be a whole number from 1 to 65535" in failed(2, "demo", "--port", "0")
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert failed(1, "demo").endswith('pip install "keras-kgen[demo-ui]"')
    assert opened == []
