"""The page of examples/browser in a real Chromium, against Python."""

import functools
import http.server
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from kgen.models import TextToImage
from kgen.training import image_noise

FOLDER = Path(__file__).parents[2] / "examples" / "browser"
PROMPTS = [
    "a person with pigtails and sunglasses",
    "Someone with a FULL beard, wearing a blue sweater!",
    "一个人，戴着眼镜，黑色长发",
    "café  naïve\u200b straße\tx",
    "unheard-of zyxwv 鑫",
    "a person " * 60,
]
# Runs modules of the page, and gives their result, or the error in words.
ASK = """
    const done = arguments[arguments.length - 1];
    const ask = async (words, seed, length) => { %s };
    ask(...arguments).then(done, (error) => done(String(error)));
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def model():
    return TextToImage.from_preset("avatars_128")


@pytest.fixture(scope="module")
def browser(model, tmp_path_factory):
    for package in ("onnx", "tf2onnx", "tensorflow"):
        pytest.importorskip(package)
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver, npm = (shutil.which(name) for name in ("chromium", "chromedriver", "npm"))
    if not (chromium and driver and npm):
        pytest.skip("needs Debian's packages chromium, chromium-driver and npm")
    folder = tmp_path_factory.mktemp("page")
    for file in FOLDER.iterdir():
        if file.suffix in (".js", ".html"):
            shutil.copy(file, folder)
    model.export(folder / "model.onnx", format="onnx")
    command = next(line for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("npm"))
    package = command.split()[-1]
    install = [npm, "install", "--prefix", folder, package]
    try:
        fetched = subprocess.run(install, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{package} could not be fetched in three minutes")
    if fetched.returncode:
        pytest.skip(f"{package} could not be fetched: {fetched.stderr[-300:]}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(option)
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    window.set_script_timeout(120)
    window.get(f"http://127.0.0.1:{server.server_port}/index.html")
    yield window
    window.quit()
    server.shutdown()


def ask(browser, code, *arguments):
    return browser.execute_async_script(ASK % code, *arguments)


def until(condition, seconds=120):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(None, seconds, 0.2).until(lambda _: condition())


@pytest.mark.slow
def test_the_ids_are_those_of_python(browser, model):
    code = """
        const { Tokenizer } = await import("./tokenizer.js");
        const tokenizer = await Tokenizer.from("model.tokenizer.json");
        return words.map((text) => tokenizer.encode(text));
    """
    found = ask(browser, code, PROMPTS)
    expected = model.text_encoder.tokenize(PROMPTS, cut=[])
    for name in ("token_ids", "padding_mask"):
        np.testing.assert_array_equal([each[name] for each in found], np.asarray(expected[name]).astype(int))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 12345, -7])
def test_the_noise_of_a_seed_is_that_of_python(browser, seed):
    found = ask(browser, 'return [...(await import("./noise.js")).imageNoise(seed, 0, length)];', None, seed, 192)
    np.testing.assert_allclose(found, np.asarray(image_noise([seed], [0], 192))[0], atol=1e-5)


@pytest.mark.slow
def test_the_images_are_those_of_python(browser, model):
    code = """
        const { TextToImage } = await import("./model.js");
        const model = await TextToImage.from("model.onnx", "model.tokenizer.json");
        const images = [];
        for (const text of words) images.push([...(await model.generate(text, seed)).data]);
        return images;
    """
    prompts = PROMPTS[:3]
    found = np.array(ask(browser, code, prompts, 3)).reshape((3, 128, 128, 4))
    expected = np.stack([model.generate(prompt, seed=3, verbose=0) for prompt in prompts])
    assert np.abs(found[..., :3] - expected).max() <= 2 and (found[..., 3] == 255).all()
    assert np.abs(expected[0].astype(int) - expected[1]).mean() > 5


@pytest.mark.slow
def test_the_image_follows_the_words(browser):
    from selenium.webdriver.common.keys import Keys

    prompt, status = (browser.find_element("id", name) for name in ("prompt", "status"))

    def image():
        return browser.execute_script("return document.getElementById('image').toDataURL();")

    until(lambda: "ms" in status.text)
    first = image()
    prompt.send_keys(Keys.CONTROL + "a" + Keys.NULL, Keys.BACKSPACE)
    until(lambda: status.text == "Say what to draw.")
    prompt.send_keys("a person with a full beard")
    until(lambda: status.text.startswith("a person with a full beard, seed 0:"))
    second = image()
    browser.find_element("id", "seed").send_keys(Keys.CONTROL + "a" + Keys.NULL, "5")
    until(lambda: "seed 5:" in status.text)
    assert len({first, second, image()}) == 3
