"""The page of `kgen demo` as a visitor sees it: a real server, and a real Chromium without a window."""

import base64
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")
webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs Debian's packages chromium and chromium-driver", allow_module_level=True)

ROOT = Path(__file__).parents[2]
PATIENCE = 120
# Where the animation of README goes; without it, into the test's own folder: KGEN_DEMO_IMAGE=docs/demo.webp.
ANIMATION = os.environ.get("KGEN_DEMO_IMAGE") and os.path.abspath(os.environ["KGEN_DEMO_IMAGE"])


# === Server and browsers ===
@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`kgen demo` in a process of its own: `(address, process)`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    # Nothing is to be fetched: whatever is, goes to a proxy that is not there.
    nowhere = {name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **nowhere}
    environment |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    with open(folder / "log", "w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kgen", "demo", "avatars_128", "--port", str(port)],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            said = until(
                lambda: "Ctrl+C" in Path(log.name).read_text() or process.poll() is not None, seconds=3 * PATIENCE
            )
            assert said and process.poll() is None, Path(log.name).read_text()
            yield f"http://127.0.0.1:{port}/", process
        finally:
            process.terminate()
            process.wait(30)


def started():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1060,960"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(PATIENCE)
    return driver


@pytest.fixture(scope="module")
def browser(server):
    driver = started()
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, server):
    """The page, freshly loaded, with its first image."""
    return opened(browser, server)


def opened(driver, server):
    driver.get(server[0])
    assert until(lambda: source(driver)), "no image came"
    # The strip is drawn, and nobody waits for the processor.
    assert until(lambda: len(find(driver, "#strip img")) == 8)
    return driver


def until(condition, *given, seconds=PATIENCE):
    """Whether a condition came true, of what is given, within these seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition(*given):
            return True
        time.sleep(0.02)
    return False


def find(driver, selector):
    return driver.find_elements("css selector", selector)


def source(driver, selector="#image img"):
    return driver.execute_script("return document.querySelector(arguments[0])?.src", selector)


def pixels(address):
    with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as image:
        return np.asarray(image), image.text


def screenshot(element):
    with Image.open(io.BytesIO(element.screenshot_as_png)) as image:
        return np.asarray(image.convert("RGB"))


def text(driver, selector):
    return driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)


def retype(driver, selector, words):
    box = find(driver, selector)[0]
    box.send_keys("\ue009a\ue000\ue017")
    box.send_keys(words)
    return box


def shows(driver, prompt, seed=None):
    """Whether the image is that of a prompt, and of a seed."""
    address = source(driver)
    texts = pixels(address)[1] if address else {}
    return texts.get("prompt") == prompt and (seed is None or texts["seed"] == str(seed))


def strip_of(driver, prompt):
    """Whether all of the strip is drawn, of a prompt."""
    return len(find(driver, f'#strip img[alt^="{prompt},"]')) == 8


def seconds_of(process):
    """Processor time of a process and of all that it started."""
    total, wanted = 0.0, {process}
    for entry in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if entry in wanted or int(fields[1]) in wanted:
            wanted.add(entry)
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


# === Words ===
# Milliseconds from the next letter to the next image.
_WATCH = """
window.watched = new Promise(done => {
    let typed;
    const before = document.querySelector('#image img').src;
    document.querySelector('#prompt textarea').addEventListener('input', () => { typed = performance.now() });
    const watch = new MutationObserver(() => {
        const image = document.querySelector('#image img');
        if (!image || image.src === before) return;
        watch.disconnect();
        done(performance.now() - typed);
    });
    watch.observe(document.querySelector('#image'), {subtree: true, childList: true, attributes: true});
});
"""


def test_the_image_follows_what_is_typed(page, server, record_property):
    """Each letter has its image; how long it takes is written down, in seconds and in seconds of the processors."""
    box = find(page, "#prompt textarea")[0]
    words, before, took, work = "a person with pigtails and sunglasses", source(page), [], []
    for letter in " and a blue shirt":
        assert until(strip_of, page, words.strip())
        words += letter
        busy = seconds_of(server[1].pid) + seconds_of(page.service.process.pid)
        page.execute_script(_WATCH)
        box.send_keys(letter)
        # A blank at the end changes nothing.
        if letter != " ":
            took.append(page.execute_async_script("watched.then(arguments[0])") / 1000)
            work.append(seconds_of(server[1].pid) + seconds_of(page.service.process.pid) - busy)
            assert shows(page, words)
    assert (pixels(before)[0] != pixels(source(page))[0]).any()
    took, busy = statistics.median(took), statistics.median(work)
    record_property("seconds", took)
    record_property("processor_seconds", busy)
    print(f"\nfrom a letter to its image, median: {took:.3f} s, of which the processors work {busy:.3f} s")
    # The aim is 0.3 s on an idle machine; whatever else this one does, the work stays the same.
    assert busy < 0.6


def test_words_that_are_typed_quickly_end_with_their_image(page):
    words = "a woman with long red hair"
    retype(page, "#prompt textarea", words)
    assert until(shows, page, words)
    assert until(strip_of, page, words)
    time.sleep(1)
    assert shows(page, words)
    retype(page, "#prompt textarea", "一个人，戴着眼镜")
    assert until(shows, page, "一个人，戴着眼镜")


def test_another_seed_changes_pixels(page):
    assert until(lambda: len(find(page, "#strip img")) == 8)
    first, texts = pixels(source(page))
    eight = [source(page, f'#strip [data-seed="{seed}"] img') for seed in range(8)]
    assert len(set(eight)) == 8
    find(page, '#strip [data-seed="3"]')[0].click()
    assert until(shows, page, texts["prompt"], 3)
    third = pixels(source(page))[0]
    assert (first != third).any()
    np.testing.assert_array_equal(third, pixels(eight[3])[0])
    find(page, "#more")[0].click()
    assert until(shows, page, texts["prompt"], 11)
    assert until(lambda: len(find(page, '#strip [data-seed="15"] img')) == 1)


def test_an_empty_prompt_says_so(page):
    retype(page, "#prompt textarea", " ")
    assert until(lambda: "Say what to draw." in text(page, "#image"))
    assert source(page) is None and until(lambda: not find(page, "#strip img"))
    retype(page, "#prompt textarea", "a person")
    assert until(shows, page, "a person")


def test_the_image_can_be_downloaded(page, tmp_path):
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    find(page, "#image a")[0].click()
    assert until(lambda: list(tmp_path.glob("*.png")))
    (file,) = tmp_path.glob("*.png")
    assert file.name == "a_person_with_pigtails_and_sunglasses_0.png"
    with Image.open(file) as image:
        texts = image.text
        np.testing.assert_array_equal(np.asarray(image), pixels(source(page))[0])
    assert texts == {"prompt": "a person with pigtails and sunglasses", "seed": "0", "model": "avatars_128"}


def test_two_browsers_at_once_get_their_own(page, server):
    other = started()
    try:
        opened(other, server)
        words = {page: "a woman with long red hair", other: "a man with a beard"}
        boxes = {driver: find(driver, "#prompt textarea")[0] for driver in words}
        for driver in words:
            boxes[driver].send_keys("\ue009a\ue000\ue017")
        for letters in zip(*(each.ljust(30) for each in words.values())):
            for driver, letter in zip(words, letters):
                boxes[driver].send_keys(letter)
        for driver, each in words.items():
            assert until(shows, driver, each), text(driver, "#image")
            assert until(strip_of, driver, each)
        time.sleep(1)
        assert all(shows(driver, each) for driver, each in words.items())
        assert (pixels(source(page))[0] != pixels(source(other))[0]).any()
    finally:
        other.quit()


def test_a_walk(page):
    tab(page, "Walk")
    assert until(lambda: len(find(page, ".kgen-walk > div")) == 13)
    seen = "return [...document.querySelectorAll('.kgen-walk > div')].findIndex(each => !each.hidden)"
    assert page.execute_script(seen) == 0
    slider = find(page, "#place input[type=range]")[0]
    slider.send_keys("\ue014" * 5)
    assert until(lambda: page.execute_script(seen) == 5)
    frames = [pixels(each.get_attribute("src"))[0] for each in find(page, ".kgen-walk img")]
    assert (frames[0] != frames[5]).any() and (frames[5] != frames[12]).any()


# === Photographs ===
def test_a_photograph_before_and_after(page, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype("uint8")).save(tmp_path / "in.png")
    tab(page, "Enhance")
    assert until(lambda: find(page, "#photo input[type=file]"))
    find(page, "#photo input[type=file]")[0].send_keys(str(tmp_path / "in.png"))
    assert until(lambda: find(page, "#photo img"))
    find(page, "#enhance")[0].click()
    assert until(lambda: len(find(page, "#enhanced img")) >= 2)
    shown = {each.get_attribute("src") for each in find(page, "#enhanced img")}
    assert len(shown) == 2
    size = "return document.querySelector('#enhanced img').naturalWidth"
    assert until(lambda: page.execute_script(size) == 128)


def test_what_is_painted_over_is_filled_in(page, tmp_path):
    Image.new("RGB", (320, 240), (40, 120, 200)).save(tmp_path / "in.png")
    tab(page, "Enhance")
    assert until(lambda: find(page, '#task input[value^="Fill in"]'))
    find(page, '#task input[value^="Fill in"]')[0].click()
    assert until(lambda: find(page, "#editor input[type=file]"))

    def blue():
        canvases = [canvas for canvas in find(page, "#editor canvas") if canvas.is_displayed()]
        return sum(
            (np.abs(screenshot(canvas).astype(int) - (40, 120, 200)) < 16).all(axis=-1).sum() for canvas in canvases[:1]
        )

    def loaded():
        """Whether the editor shows the file: like a stroke, it loses one that comes before it is ready."""
        for each in find(page, "#editor input[type=file]")[:1]:
            each.send_keys(str(tmp_path / "in.png"))
        return until(lambda: blue() > 1000, seconds=PATIENCE / 4)

    def painted_over():
        """Whether a stroke hides some of the blue: the editor takes none before it is ready, and does not tell."""
        whole = blue()
        strokes = webdriver.ActionChains(page).move_to_element(find(page, "#editor canvas")[0]).click_and_hold()
        for _ in range(4):
            strokes = strokes.move_by_offset(8, 0)
        strokes.release().perform()
        return until(lambda: blue() < whole - 100, seconds=2)

    assert any(loaded() for _ in range(4))
    assert until(painted_over)

    def filled_in():
        find(page, "#enhance")[0].click()
        return until(lambda: len(find(page, "#enhanced img")) >= 2, seconds=PATIENCE / 4)

    # What is seen of a stroke may still be on its way to the server's side of the editor.
    assert any(filled_in() for _ in range(4))
    before, after = (downloaded(each.get_attribute("src")) for each in find(page, "#enhanced img")[:2])
    painted = (before == 128).all(axis=-1)
    assert 100 < painted.sum() < painted.size / 2
    assert (after[~painted] == (40, 120, 200)).all() and (after[painted] != 128).any()


def test_a_large_upload_is_refused_kindly(page, tmp_path):
    (tmp_path / "large.png").write_bytes(os.urandom(20 * 2**20))
    tab(page, "Enhance")
    assert until(lambda: find(page, "#photo input[type=file]"))
    find(page, "#photo input[type=file]")[0].send_keys(str(tmp_path / "large.png"))
    assert until(lambda: "maximum allowed size" in text(page, "body")), text(page, "body")
    assert not find(page, "#photo img")
    # And the page goes on.
    tab(page, "Draw")
    retype(page, "#prompt textarea", "a person")
    assert until(shows, page, "a person")


def test_what_goes_wrong_is_said_in_a_line(page):
    tab(page, "Enhance")
    assert until(lambda: find(page, "#enhance") and find(page, "#enhance")[0].is_displayed())
    find(page, "#enhance")[0].click()
    assert until(lambda: "Upload a photograph first." in text(page, "body"))
    assert "Traceback" not in text(page, "body")


def downloaded(address):
    with urllib.request.urlopen(address) as answer, Image.open(io.BytesIO(answer.read())) as image:
        return np.asarray(image.convert("RGB"))


def tab(driver, name):
    (button,) = [each for each in find(driver, "button[role=tab]") if each.text == name]
    button.click()


# === Without network ===
def test_nothing_is_fetched_from_elsewhere(page, server):
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert asked and [url for url in asked if not url.startswith((server[0], "data:", "blob:"))] == []


# === For README ===
def test_an_animation_of_it(page, tmp_path):
    """What README shows: a few words are typed, and the image follows."""
    frames, times = [], []
    edge = "return document.querySelector(arguments[0]).getBoundingClientRect()"
    top = page.execute_script(f"{edge}.top", "#prompt") - 12
    # The strip's cells are as high as they are wide, drawn or not.
    bottom = page.execute_script(f"{edge}.bottom", "#strip") + 8

    def frame(milliseconds):
        with Image.open(io.BytesIO(page.get_screenshot_as_png())) as image:
            assert image.height >= bottom
            shown = image.convert("RGB").crop((0, int(top), image.width - 12, int(bottom)))
            frames.append(shown.resize((shown.width * 3 // 4, shown.height * 3 // 4), Image.Resampling.LANCZOS))
        times.append(milliseconds)

    words = "a person with"
    box = retype(page, "#prompt textarea", words)
    for letter in " a black afro, glasses and a yellow sweater":
        box.send_keys(letter)
        words += letter
        assert until(shows, page, " ".join(words.split()))
        frame(110)
    assert until(strip_of, page, words)
    frame(1200)
    for seed in (2, 3):
        find(page, f'#strip [data-seed="{seed}"]')[0].click()
        assert until(shows, page, words, seed)
        frame(900)
    file = Path(ANIMATION) if ANIMATION else tmp_path / "demo.webp"
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=times, loop=0, quality=70, method=4)
    assert 20_000 < file.stat().st_size < 1_500_000
    with Image.open(file) as animation:
        assert animation.n_frames > 30
