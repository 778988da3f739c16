import pytest

from kgen.presets import preset_names


def test_a_preset(done, kgen):
    facts = done("info", "openmoji_64")
    assert facts["class"] == "TextToImage" and facts["image_shape"] == [64, 64, 3]
    assert facts["parameters"] > 10_000_000 and facts["bytes"] > 4_000_000
    assert facts["shares_weights_with"] == ["tiny_minilm_en_zh"]
    out = kgen("info", "openmoji_64")[1]
    assert "class: TextToImage\n" in out and "image_shape: 64 x 64, 3 channels\n" in out


@pytest.mark.backends
def test_a_file(done, trained_vae):
    facts = done("info", trained_vae)
    assert (facts["class"], facts["file"]) == ("VAE", str(trained_vae))


def test_a_text_to_image_file_has_a_shape(done, trained_text_to_image):
    assert done("info", trained_text_to_image)["image_shape"] == [16, 16, 3]


def test_presets(done, kgen):
    assert [each["name"] for each in done("presets")["presets"]] == preset_names()
    lines = kgen("presets")[1].splitlines()
    assert lines[0].split() == ["name", "class", "images", "parameters"] and len(lines) == 1 + len(preset_names())
    assert any(line.startswith("denoise_photo ") and "any size, 3 channels" in line for line in lines)


def test_bad_input(failed, folder):
    assert "there is no model 'none'" in failed(2, "info", "none")
    (folder / "broken.keras").write_bytes(b"x")
    assert "is not a Keras model" in failed(1, "info", "broken.keras")
