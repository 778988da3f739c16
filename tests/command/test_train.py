import json
import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kgen.command import captioned_training, train
from kgen.command.wrong_use import WrongUse
from kgen.data import CaptionedImages
from tests.models import tiny_text

pytestmark = pytest.mark.usefixtures("eager")


# === Options of a file ===
def test_options_of_a_file_and_those_that_win(folder):
    (folder / "run.json").write_text(
        '{"steps": 40, "image_size": 32, "prompts": ["a", "b c"], "quiet": true, "seed": 1}'
    )
    given = train.expanded(["mine", "--config", "run.json", "--steps", "7"])
    assert given == ["mine", "--steps", "7", "--image-size=32", "--prompts", "a", "b c", "--quiet", "--seed=1"]
    assert train.expanded(["mine", "--config=run.json", "-q", "--seed=3"])[1:3] == ["-q", "--seed=3"]
    assert train.expanded(["mine", "--steps", "7"]) == ["mine", "--steps", "7"]
    (folder / "zero.json").write_text('{"seed": 0, "quiet": false, "limit": null}')
    assert train.expanded(["mine", "--config", "zero.json"]) == ["mine", "--seed=0"]
    pytest.importorskip("yaml")
    (folder / "run.yaml").write_text("steps: 40\nbatch-size: 4\nquiet: false\n")
    assert train.expanded(["mine", "--config", "run.yaml"]) == ["mine", "--steps=40", "--batch-size=4"]


def test_files_that_hold_no_options(folder, failed):
    for text, words in (("[1]", "must hold options by name"), ("x", "cannot be read")):
        (folder / "run.json").write_text(text)
        with pytest.raises(WrongUse, match=words):
            train.expanded(["mine", "--config", "run.json"])
    with pytest.raises(WrongUse, match="give exactly one file"):
        train.expanded(["mine", "--config"])
    assert "'none.json' cannot be read" in failed(2, "train", "mine", "--config", "none.json")
    (folder / "run.json").write_text('{"colour": 1}')
    assert "unrecognized arguments: --colour=1" in failed(2, "train", "mine", "--config", "run.json")
    (folder / "run.json").write_text('{"steps": "many"}')
    assert "--steps: must be a whole number from 1; got 'many'" in failed(2, "train", "mine", "--config", "run.json")


# === The place of the results ===
@pytest.mark.parametrize(
    ("output", "where"), [("mine", "in"), ("mine/run", "in"), (".", "around"), ("..", "around"), (None, "in")]
)
def test_results_and_images_have_different_folders(failed, captioned, folder, monkeypatch, output, where):
    (folder / "run.json").write_text("{}")
    files = sorted(folder.rglob("*"))
    if output is None:
        # The name that it has without -o.
        monkeypatch.chdir(folder / captioned)
    given = [".", "--overwrite"] if output is None else [captioned, "--overwrite", "-o", output]
    message = failed(2, "train", *given)
    assert f"is {where} the folder of images" in message and "choose a directory beside it" in message
    assert sorted(folder.rglob("*")) == files


# === The run ===
@pytest.fixture
def small(monkeypatch):
    """Tiny networks in place of those of `TextToImage`."""

    def model(text_encoder, image_shape, sequence_length, seed):
        return tiny_text.model(image_shape=image_shape, seed=seed)

    monkeypatch.setattr(captioned_training, "TextToImage", model)
    return ("--image-size", 16, "--steps", 2, "--batch-size", 4, "--prompts", "a red picture")


def test_a_folder_of_captioned_images(done, kgen, failed, captioned, small, folder, monkeypatch):
    pytest.importorskip("tensorflow_text")
    monkeypatch.setattr("tests.models.tiny_text.TextToImage.export", lambda *_: None)
    result = done("train", captioned, *small)
    made = folder / "text_to_image_mine"
    assert result["files"] == ["text_to_image_mine/model.keras", "text_to_image_mine/images.png"]
    # Two images of each of four captions: one of each is asked for.
    assert result["among"] == 4 and 0.0 <= result["retrieval"] <= 1.0
    assert {"images.png", "samples", "model.keras", "run.json", "report.json"} <= {each.name for each in made.iterdir()}
    assert json.loads((made / "report.json").read_text())["retrieval"] == result["retrieval"]
    # Once it is done, it is not done again unless that is said; nor is another run's directory taken.
    assert "already has a trained model; --overwrite starts again" in failed(1, "train", captioned, *small)
    os.remove(made / "model.keras")
    code, out, err = kgen("train", captioned, *small, "--seed", 5)
    assert code == 1 and "is from a run with {'seed': 0}, not {'seed': 5}. Give another directory" in err
    # From its file, to the bit; what the run did not write stays.
    (made / "notes.txt").write_text("mine")
    done("train", captioned, *small, "--overwrite")
    assert (made / "notes.txt").read_text() == "mine"
    first = (made / "images.png").read_bytes()
    assert kgen("run", "text_to_image_mine.run.json")[0] == 0
    assert (folder / "text_to_image_mine_2" / "images.png").read_bytes() == first


def test_a_trained_model_goes_on(done, captioned, folder, monkeypatch):
    pytest.importorskip("tensorflow_text")
    monkeypatch.setattr("tests.models.tiny_text.TextToImage.export", lambda *_: None)
    start = tiny_text.model(text_encoder=tiny_text.text_encoder())
    start.average.updates.assign(1000.0)
    start.remember(["a grey picture"], sharpness=123.0)
    start.save(folder / "start.keras")
    before = start.generator.get_weights()
    result = done("train", captioned, "--start", "start.keras", "--steps", 4, "--batch-size", 4, "-o", "on")
    model = keras.saving.load_model(folder / "on" / "model.keras")
    assert model.image_shape == tiny_text.SHAPE and float(model.average.updates) == 1.0 + 4
    assert any(np.any(old != new) for old, new in zip(before, model.generator.get_weights()))
    # Each of four images has two captions.
    assert "a grey picture" not in model.memory.names and model.memory.size == 2 * result["among"]
    assert model.memory.sharpness == 123.0
    described = json.loads((folder / "on.run.json").read_text())
    assert [*described["inputs"]] == [str((folder / "start.keras").resolve())]


def test_models_that_cannot_go_on(failed, captioned, folder):
    tiny_text.model().save(folder / "start.keras")
    for given, said in (
        (["--image-size", 32], "--start: start.keras makes images of 16 x 16 pixels, which is not --image-size 32"),
        (["--text-encoder", "x"], "--text-encoder: the model of --start has its own; leave it out"),
        (["-o", "."], "is around the folder of images"),
    ):
        assert said in failed(2, "train", captioned, "--start", "start.keras", *given)
    (folder / "run").mkdir()
    os.rename(folder / "start.keras", folder / "run" / "model.keras")
    own = ("--start", "run/model.keras", "-o", "run", "--overwrite")
    assert "--start: run/model.keras is in 'run', the directory for the results" in failed(2, "train", captioned, *own)
    assert (folder / "run" / "model.keras").exists()
    assert "denoise_photo is of class ImageRestorer" in failed(2, "train", captioned, "--start", "denoise_photo")


def test_images_with_the_same_caption_are_one_question(monkeypatch):
    images, captions = tiny_text.pictures(8)
    drawn = dict(zip((texts[0] for texts in captions), images))
    model = SimpleNamespace(generate=lambda prompts, seed: np.stack([drawn[prompt] for prompt in prompts]))
    found = captioned_training.retrieval(model, CaptionedImages(np.tile(images, (3, 1, 1, 1)), captions * 3))
    assert found == (1.0, len(drawn))


def test_nothing_is_left_of_a_run_without_images(failed, folder):
    (folder / "none").mkdir()
    failed(1, "train", "none")
    assert not (folder / "text_to_image_none").exists()


def test_an_interrupted_run_says_what_is_saved(kgen, captioned, small, folder, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(captioned_training, "train_captioned", interrupted)
    code, _, told = kgen("train", captioned, *small)
    assert code == 130 and "Nothing is saved before the end of the first epoch." in told


def test_a_run_that_is_killed_goes_on(kgen, done, captioned, small, folder, monkeypatch):
    pytest.importorskip("tensorflow_text")
    monkeypatch.setattr("tests.models.tiny_text.TextToImage.export", lambda *_: None)
    small = (*small[:3], 6, *small[4:])
    done("train", captioned, *small, "-o", "whole")
    with monkeypatch.context() as context:
        say = captioned_training.progress

        def killed(model, data, epochs):
            def after(epoch, logs):
                if epoch == 1:
                    raise KeyboardInterrupt

            return after

        context.setattr(captioned_training, "progress", killed)
        code, out, err = kgen("train", captioned, *small, "-o", "twice")
        assert code == 130 and err.endswith("kgen train: interrupted.\n")
    assert captioned_training.progress is say and not (folder / "twice" / "model.keras").exists()
    done("train", captioned, *small, "-o", "twice")
    assert (folder / "twice" / "images.png").read_bytes() == (folder / "whole" / "images.png").read_bytes()


# === Bad input ===
def test_bad_input(failed, kgen, folder, small):
    assert "argument --steps: must be a whole number from 1" in failed(2, "train", "mine", "--steps", 0)
    assert "argument --image-size: must be a whole number from 16" in failed(2, "train", "mine", "--image-size", 8)
    assert "'nowhere' does not exist" in failed(1, "train", "nowhere")
    (folder / "empty").mkdir()
    assert failed(1, "train", "empty").startswith("kgen train: ")
    (folder / "file").write_text("x")
    assert "-o: 'file/model.keras' cannot be written" in failed(1, "train", "empty", "-o", "file")


# === Its parts ===
def test_length_and_prompts():
    for count, steps, least in ((1031, 800, 24), (40, 800, 22), (40, 10, 5), (3000, 94, 1)):
        data = CaptionedImages(np.zeros((count, 1, 1, 1), "uint8"), [[f"image {i}", "x"] for i in range(count)])
        shown, epochs, each = captioned_training.schedule(data, steps, 32)
        assert least <= epochs <= 50 and each == -(-len(shown) // 32) and len(shown) % count == 0
        assert abs(epochs * each - steps) <= each / 2
    prompts = captioned_training.prompts_of(data)
    assert len(set(prompts)) == 16 and prompts[0] == "image 0" and prompts[-1] == "image 2999"
    two = CaptionedImages(np.zeros((4, 1, 1, 1), "uint8"), ["cat", "dog", "cat", "dog"])
    assert captioned_training.prompts_of(two) == ["cat", "dog"]


def test_the_data_are_known_again():
    images = np.zeros((2, 4, 4, 3), "uint8")
    one = captioned_training.description(CaptionedImages(images, ["a", "b"]), "x")
    assert one == captioned_training.description(CaptionedImages(images, ["a", "b"]), "x")
    images = images + np.uint8(1)
    assert one["content"] != captioned_training.description(CaptionedImages(images, ["a", "b"]), "x")["content"]
