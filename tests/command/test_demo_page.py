"""What of the page needs no browser; see test_demo_in_browser.py."""

import json
import re
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
from PIL import Image

gr = pytest.importorskip("gradio")

from kgen.command import demo_page, demo_photos  # noqa: E402
from kgen.command.demo_page import DemoPage  # noqa: E402
from kgen.presets import load_preset  # noqa: E402

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def model(trained_text_to_image):
    return keras.saving.load_model(trained_text_to_image, compile=False)


@pytest.fixture(scope="module")
def address(model):
    """The page of a tiny model, served."""
    page = DemoPage(model, "mine")
    yield page.open()
    page.close()


def element(page, name):
    (found,) = [each for each in page.blocks.blocks.values() if getattr(each, "elem_id", None) == name]
    return found


# === The server ===
def test_the_page_asks_for_nothing_from_elsewhere(address):
    with urllib.request.urlopen(address) as answer:
        page = answer.read().decode()
    assert address.startswith("http://127.0.0.1:") and "kgen: mine" in page
    assert re.findall(r"""<(?:script|link|img|iframe)\b[^>]*(?:src|href)=["']?https?:[^"'>]*""", page) == []


def test_what_is_uploaded_is_small(address):
    def upload(size):
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        asked = urllib.request.Request(f"{address}gradio_api/upload", head + bytes(size) + b"\r\n--x--\r\n")
        asked.add_header("Content-Type", "multipart/form-data; boundary=x")
        with urllib.request.urlopen(asked) as answer:
            return answer.status

    assert upload(1000) == 200
    # It hangs up before all of it is sent: an answer of 413 comes through, or none.
    with pytest.raises(urllib.error.URLError, match="413|reset|Broken pipe"):
        upload(20 * 2**20)
    with urllib.request.urlopen(f"{address}config") as answer:
        # What the page itself looks at before it sends.
        assert json.load(answer)["max_file_size"] == 10 * 2**20


def test_an_address_that_cannot_be_served(address, model):
    port = int(re.search(r":(\d+)/", address)[1])
    with pytest.raises(OSError, match=f"port {port} is in use; choose another with --port"):
        DemoPage(model, "mine").open(port=port)
    with pytest.raises(OSError, match="cannot serve at 192.0.2.1: "):
        DemoPage(model, "mine").open(host="192.0.2.1")


def test_a_request_cannot_name_a_file_of_the_server(address, model, tmp_path, photo):
    with urllib.request.urlopen(f"{address}config") as answer:
        functions = json.load(answer)["dependencies"]
    (number,) = [each["id"] for each in functions if any(target[1] == "click" for target in each["targets"])][-2:-1]
    asked = {"data": ["Remove noise", {"path": str(photo)}, None], "fn_index": number, "session_hash": "a"}
    head = {"Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(f"{address}gradio_api/queue/join", json.dumps(asked).encode(), head)
    ).close()
    with urllib.request.urlopen(f"{address}gradio_api/queue/data?session_hash=a") as answer:
        told = answer.read().decode()
    assert "This file was not uploaded here" in told and '"success": true' not in told


# === What is on it ===
def test_guidance_where_the_model_offers_it(model, trained_text_to_image):
    page = DemoPage(model, "mine")
    assert not element(page, "guidance").visible and not element(page, "negative").visible
    assert page.prompts == [] and element(page, "prompt").value == ""
    other = keras.saving.load_model(trained_text_to_image, compile=False)
    other.remember(["a red picture", "a blue picture"], verbose=0)
    page = DemoPage(other, "mine")
    assert element(page, "guidance").visible and element(page, "negative").visible
    assert page.prompts == ["a red picture", "a blue picture"] and element(page, "prompt").value == "a red picture"


def test_nobody_is_told_of_it(model):
    assert not DemoPage(model, "mine").blocks.analytics_enabled


def test_errors_are_for_the_visitor():
    def fails(error):
        raise error

    with pytest.raises(gr.Error, match="Upload a photograph first") as shown:
        demo_page._kindly(fails)(ValueError("Upload a photograph first."))
    assert not shown.value.print_exception
    with pytest.raises(ZeroDivisionError):
        demo_page._kindly(fails)(ZeroDivisionError())


# === Photographs ===
def test_what_is_painted_in_the_editor_is_filled_in(monkeypatch, inpainter):
    monkeypatch.setattr(demo_photos, "_loaded", {"inpaint_photo": load_preset(inpainter)})
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 4)).astype("uint8")
    layer = np.zeros((40, 48, 4), "uint8")
    layer[10:14, 20:25] = 255
    task = "Fill in painted areas"
    before, after = demo_page._enhanced(task, None, {"background": image, "layers": [layer], "composite": image})
    changed = (after != image[..., :3]).any(axis=-1)
    assert changed[10:14, 20:25].any() and changed.sum() <= 20
    for nothing in (None, {"background": None, "layers": [], "composite": None}):
        with pytest.raises(ValueError, match="Upload a photograph first"):
            demo_page._enhanced(task, None, nothing)


def test_files_are_enhanced_and_styled(monkeypatch, restorer, painter, photo):
    loaded = {"denoise_photo": load_preset(restorer), demo_photos.STYLE: load_preset(painter)}
    monkeypatch.setattr(demo_photos, "_loaded", loaded)
    with Image.open(photo) as opened:
        image = np.asarray(opened)
    before, after = demo_page._enhanced("Remove noise", photo, None)
    np.testing.assert_array_equal(before, image)
    assert after.shape == image.shape
    before, after = demo_page._styled(photo, photo, 1.0, 0.0, False)
    assert after.shape == before.shape == image.shape
    with pytest.raises(ValueError, match="Upload a style image first"):
        demo_page._styled(photo, None, 1.0, 0.0, False)
