import json

import keras
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("eager")

PROMPTS = ("a red picture", "a blue picture")


def read(path):
    with Image.open(path) as image:
        return np.asarray(image), image.text


@pytest.fixture
def text_model(trained_text_to_image):
    return trained_text_to_image


def drawn(file, **arguments):
    return keras.saving.load_model(file, compile=False).generate(**arguments, verbose=0)


# === Prompts ===
def test_one_image(done, kgen, text_model):
    result = done("generate", text_model, PROMPTS[0], "-o", "new/red.png", "--seed", 7)
    pixels, texts = read("new/red.png")
    np.testing.assert_array_equal(pixels, drawn(text_model, prompts=PROMPTS[0], seed=7))
    assert texts == {"prompt": PROMPTS[0], "seed": "7", "model": str(text_model)}
    assert result["files"] == ["new/red.png"] and result["run_file"] == "new/red.png.run.json"
    assert (result["seed"], result["shape"], result["prompts"]) == (7, [1, 16, 16, 3], [PROMPTS[0]])
    # For people: the file alone.
    code, out, err = kgen("generate", text_model, PROMPTS[0], "-o", "again.png", "--seed", 7)
    assert (code, out) == (0, "again.png\n")
    np.testing.assert_array_equal(read("again.png")[0], pixels)


def test_a_grid_and_a_folder(done, text_model):
    images = drawn(text_model, prompts=list(PROMPTS), num_images=2, seed=3)
    done("generate", text_model, *PROMPTS, "--num", 2, "--seed", 3, "-o", "grid.png", "--scale", 2)
    grid, texts = read("grid.png")
    np.testing.assert_array_equal(grid[2:34:2, 2:34:2], images[0])
    assert texts["prompt"] == "\n".join(PROMPTS)
    result = done("generate", text_model, *PROMPTS, "--num", 2, "--seed", 3, "-o", "images")
    assert result["files"] == [f"images/000{i}.png" for i in range(4)]
    for file, image, prompt in zip(result["files"], images, [PROMPTS[0]] * 2 + [PROMPTS[1]] * 2):
        pixels, texts = read(file)
        np.testing.assert_array_equal(pixels, image)
        assert texts["prompt"] == prompt
    assert "0003.png,a blue picture" in open("images/captions.csv", encoding="utf-8").read()


def test_without_a_name_the_file_is_called_by_the_prompt(kgen, text_model):
    for name in ("a_red_picture.png", "a_red_picture_2.png"):
        code, out, err = kgen("generate", text_model, PROMPTS[0])
        assert code == 0 and out == f"{name}\n" and f"the image is in {name}" in err


def test_a_seed_is_drawn_and_written(done, text_model):
    first = done("generate", text_model, PROMPTS[0], "-o", "one.png")
    second = done("generate", text_model, PROMPTS[0], "-o", "two.png")
    assert first["seed"] != second["seed"]
    written = json.loads(open("one.png.run.json", encoding="utf-8").read())
    assert written["arguments"][:2] == ["--seed", str(first["seed"])]
    np.testing.assert_array_equal(read("one.png")[0], drawn(text_model, prompts=PROMPTS[0], seed=first["seed"]))


def test_truncation_reaches_the_model(done, text_model):
    done("generate", text_model, PROMPTS[0], "-o", "one.png", "--seed", 1, "--truncation", 0.1)
    expected = drawn(text_model, prompts=PROMPTS[0], seed=1, truncation=0.1)
    np.testing.assert_array_equal(read("one.png")[0], expected)


# === GANs and VAEs ===
@pytest.mark.backends
def test_a_model_without_prompts(done, trained_vae):
    done("generate", trained_vae, "--num", 3, "--seed", 2, "-o", "images")
    images = drawn(trained_vae, num_images=3, seed=2)
    for i, image in enumerate(images):
        np.testing.assert_array_equal(read(f"images/000{i}.png")[0], image)


# === Bad input ===
def test_wrong_use(failed, text_model, trained_vae):
    assert "there is no model 'openmoji'. Give a .keras file" in failed(2, "generate", "openmoji", "a cat")
    assert "or a preset of kgen: avatars_128, denoise_photo, " in failed(2, "generate", "openmoji", "a cat")
    assert failed(2, "generate", text_model, " ") == "kgen generate: a prompt is empty; say what to draw."
    assert "draws from prompts; give at least one." in failed(2, "generate", text_model)
    assert "is a VAE, which takes no prompts" in failed(2, "generate", trained_vae, "a cat")
    assert "--labels are only for a GAN or a VAE" in failed(2, "generate", text_model, "a cat", "--labels", 1)
    assert "is of class ImageRestorer; this command takes Text" in failed(2, "generate", "denoise_photo", "a cat")
    assert "must end in .png, or have no suffix" in failed(2, "generate", text_model, "a cat", "-o", "cat.jpg")
    assert "-o must end in .png" in failed(2, "generate", text_model, "a cat", "-o", "cats", "--scale", 2)


@pytest.mark.parametrize(
    "wrong, words",
    [
        (("--num", "0"), "argument --num: must be a whole number from 1; got '0'"),
        (("--num", "many"), "argument --num: must be a whole number from 1; got 'many'"),
        (("--seed", str(2**31)), "argument --seed: must be a whole number from -2147483647 to 2147483647"),
        (("--truncation", "-1"), "argument --truncation: must be a number from 0; got '-1'"),
        (("--guidance", "nan"), "argument --guidance: must be a number from 0; got 'nan'"),
        (("--colour",), "unrecognized arguments: --colour"),
    ],
)
def test_wrong_numbers(failed, wrong, words):
    line = failed(2, "generate", "openmoji_64", "a cat", *wrong)
    assert line.startswith("kgen") and words in line and "--help" in line


def test_a_file_that_is_there_is_kept(failed, done, text_model, folder):
    (folder / "cat.png").write_text("mine")
    line = failed(1, "generate", text_model, "a cat", "-o", "cat.png")
    assert line == "kgen generate: 'cat.png' already exists; --overwrite replaces it, or choose another name."
    assert (folder / "cat.png").read_text() == "mine"
    done("generate", text_model, "a cat", "-o", "cat.png", "--overwrite")
    assert read("cat.png")[0].shape == (16, 16, 3)
    # Nor does --overwrite take away a folder of something else; its own it replaces.
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("x")
    line = failed(1, "generate", text_model, "a cat", "-o", "mine", "--overwrite")
    assert "'mine' is a directory that this command did not write" in line
    done("generate", text_model, "a cat", "--num", 2, "-o", "cats")
    done("generate", text_model, "a cat", "-o", "cats", "--overwrite")
    assert sorted(path.name for path in (folder / "cats").iterdir()) == ["0000.png", "captions.csv"]


def test_what_cannot_be_written_is_said_before_the_work(failed, text_model, folder, monkeypatch):
    monkeypatch.setattr("kgen.command.generate.load_model", None)
    (folder / "file").write_text("x")
    assert "-o: 'file/cat.png' cannot be written" in failed(1, "generate", text_model, "a cat", "-o", "file/cat.png")


def test_files_that_hold_no_model(failed, folder):
    assert "there is no file 'none.keras'" in failed(1, "generate", "none.keras", "a cat")
    (folder / "broken.keras").write_text("x")
    assert "'broken.keras' is not a Keras model" in failed(1, "generate", "broken.keras", "a cat")
    (folder / "empty").mkdir()
    assert "'empty' contains no preset" in failed(1, "generate", "empty", "a cat")


def test_what_the_model_refuses_is_one_line(failed, text_model):
    line = failed(1, "generate", text_model, "a cat", "--negative", "black")
    assert line.startswith("kgen generate: ") and "this one remembers none" in line
