import itertools
import json
import os
import shutil
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from kgen.command.model_files import file_of
from kgen.models import GAN, VAE
from kgen.presets import is_preset, load_preset, preset, preset_description, save_preset
from tests.models import tiny
from tests.training import toy

pytestmark = pytest.mark.backends


@pytest.fixture
def trained():
    model = tiny.vae()
    model.compile()
    model.fit(tiny.pictures(8), batch_size=8, verbose=0)
    return model


def test_a_preset_draws_the_same_and_keeps_no_training_state(trained, tmp_path):
    trained.save_to_preset(tmp_path / "preset")
    model = VAE.from_preset(tmp_path / "preset")
    assert np.abs(model.generate(3, seed=1).astype(int) - trained.generate(3, seed=1)).max() <= 1
    assert not model.compiled
    # The model that was saved can train on.
    assert trained.compiled and int(trained.optimizer.iterations) == 1
    trained.fit(tiny.pictures(8), batch_size=8, verbose=0)
    assert int(trained.optimizer.iterations) == 2
    trained.save(tmp_path / "whole.keras")
    assert (tmp_path / "preset" / "model.keras").stat().st_size < (tmp_path / "whole.keras").stat().st_size


def test_a_few_steps_from_a_preset_change_what_it_makes(trained, tmp_path):
    # A long training: its average hardly moves any more.
    trained.average.updates.assign(10_000.0)
    trained.save(tmp_path / "whole.keras")
    trained.save_to_preset(tmp_path / "preset")
    model = load_preset(tmp_path / "preset")
    assert model.trained and float(model.average.updates) == 1.0
    assert float(keras.saving.load_model(tmp_path / "whole.keras").average.updates) == 10_000.0
    model.compile(keras.optimizers.SGD(0.01))
    before = model.average.network.get_weights()
    model.fit(tiny.pictures(8), batch_size=8, epochs=2, verbose=0)
    now, average = model.generator.get_weights(), model.average.network.get_weights()
    for old, new, mean in zip(before, now, average):
        assert np.linalg.norm(mean - old) > 0.5 * np.linalg.norm(new - old)
    tiny.vae().save_to_preset(tmp_path / "untrained")
    assert not load_preset(tmp_path / "untrained").trained


def test_its_description_has_remarks(trained, tmp_path):
    trained.save_to_preset(tmp_path, data="ours")
    description = preset_description(tmp_path)
    assert description["remarks"] == {"data": "ours"} and description["image_shape"] == list(trained.image_shape)


def test_the_training_state_of_a_part_is_left_out_too(trained, tmp_path):
    save_preset(trained, tmp_path / "before")
    trained.encoder.compile("adam", "mse")
    outputs = np.zeros((2, *trained.encoder.output_shape[1:]), "float32")
    trained.encoder.fit(np.zeros((2, *trained.image_shape), "float32"), outputs, verbose=0)
    optimizer = trained.encoder.optimizer
    save_preset(trained, tmp_path / "after")
    assert trained.encoder.optimizer is optimizer and trained.encoder.compiled
    sizes = [(tmp_path / name / "model.keras").stat().st_size for name in ("before", "after")]
    assert sizes[1] < 1.1 * sizes[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert not load_preset(tmp_path / "after").encoder.compiled


def test_an_older_preset_is_replaced(trained, tmp_path):
    save_preset(trained, tmp_path)
    trained.fit(tiny.pictures(8), batch_size=8, verbose=0)
    save_preset(trained, tmp_path)
    assert np.array_equal(load_preset(tmp_path).generate(1, seed=0), trained.generate(1, seed=0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "preset.json"]


@pytest.mark.parametrize("older", [False, True])
def test_a_kill_at_any_moment_leaves_the_older_preset_or_the_new_one(tmp_path, monkeypatch, older):
    model, replace, unlink = toy.Lines(), os.replace, Path.unlink

    def save_until(moment, directory):
        """Whether it was killed in one of the moments at which a file gets its name, or was done before."""
        moments = itertools.count()

        def killed(*paths):
            if next(moments) == moment:
                # A kill does not clean up.
                monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: None)
                raise KeyboardInterrupt
            replace(*paths)

        monkeypatch.setattr("os.replace", killed)
        try:
            save_preset(model, directory, data="new")
        except KeyboardInterrupt:
            return True
        finally:
            monkeypatch.setattr("os.replace", replace)
            monkeypatch.setattr(Path, "unlink", unlink)
        return False

    found = []
    for moment in itertools.count():
        directory = tmp_path / str(moment)
        if older:
            save_preset(model, directory, data="older")
            model.first.set_weights([weight + 1.0 for weight in model.first.get_weights()])
        if not save_until(moment, directory):
            break
        try:
            load_preset(directory)
            found.append(preset_description(directory)["remarks"]["data"])
        except ValueError as error:
            assert "contains no preset" in str(error)
            found.append("none")
        save_preset(model, directory, data="newer")
        load_preset(directory)
        assert preset_description(directory)["remarks"]["data"] == "newer"
    assert len(found) >= 3 and set(found) == {"older" if older else "none", "new"}


def test_smaller_files_draw_nearly_the_same(trained, tmp_path):
    sizes = {}
    for dtype, levels in ((None, 0), ("float16", 2), ("int8", 8)):
        trained.save_to_preset(tmp_path / str(dtype), dtype)
        sizes[dtype] = (tmp_path / str(dtype) / "model.keras").stat().st_size
        model = VAE.from_preset(tmp_path / str(dtype))
        assert np.abs(model.generate(3, seed=1).astype(int) - trained.generate(3, seed=1)).max() <= levels
        assert {weight.dtype for weight in model.decoder.weights} == {"float32"}
    assert sizes["int8"] < sizes["float16"] < sizes[None]
    # An older kgen would take the whole numbers for the weights.
    assert preset_description(tmp_path / "int8")["format"] == 3
    with pytest.raises(ValueError, match="None, 'float16' or 'int8'; got 'int4'"):
        trained.save_to_preset(tmp_path / "small", "int4")


def test_a_damaged_file_is_refused(trained, tmp_path):
    save_preset(trained, tmp_path)
    data = bytearray((tmp_path / "model.keras").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "model.keras").write_bytes(data)
    with pytest.raises(ValueError, match="checksum"):
        load_preset(tmp_path)


def test_a_later_format_is_refused(trained, tmp_path):
    save_preset(trained, tmp_path)
    description = json.loads((tmp_path / "preset.json").read_text())
    (tmp_path / "preset.json").write_text(json.dumps({**description, "format": 99}))
    with pytest.raises(ValueError, match="Upgrade"):
        load_preset(tmp_path)


def test_names_and_classes(trained, tmp_path):
    with pytest.raises(ValueError, match="there is no preset 'cat'"):
        VAE.from_preset("cat")
    with pytest.raises(ValueError, match=r"preset.json is missing"):
        VAE.from_preset(tmp_path)
    save_preset(trained, tmp_path)
    with pytest.raises(ValueError, match="contains a VAE"):
        GAN.from_preset(tmp_path)
    with pytest.raises(ValueError, match=r"load it with kgen.text.TextEncoder.of\('tiny_minilm_en_zh'\)"):
        GAN.from_preset("tiny_minilm_en_zh")


def test_the_home_directory(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_preset(trained, "~/cat")
    assert (tmp_path / "cat" / "preset.json").is_file()
    assert is_preset("~/cat") and preset_description("~/cat")["class"].endswith("VAE")
    assert file_of("~/cat") == tmp_path / "cat" / "model.keras"


def test_a_folder_of_its_name_does_not_hide_a_preset(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, file = preset_description("tiny_f8"), file_of("tiny_f8")
    (tmp_path / "tiny_f8").mkdir()
    assert preset_description("tiny_f8") == own and file_of("tiny_f8") == file
    # But a preset of the user's own does.
    save_preset(trained, "tiny_f8")
    assert preset_description("tiny_f8")["class"].endswith("VAE") and file_of("tiny_f8") != file


def test_nothing_else_is_overwritten(trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match="is not a preset"):
        save_preset(trained, tmp_path)
    with pytest.raises(FileExistsError, match="is not a preset"):
        save_preset(trained, tmp_path / "thesis.txt")


def test_weights_that_a_preset_of_kgens_own_has_are_read_from_there(trained, tmp_path, monkeypatch):
    own = tmp_path / "own"
    monkeypatch.setattr(preset, "_OWN", own)
    save_preset(trained, own / "first", dtype="float16")
    save_preset(trained, tmp_path / "alone", dtype="float16")
    trained.save_to_preset(tmp_path / "sharing", "float16", shared_with=["first"], note="kept")
    sizes = [(tmp_path / name / "model.keras").stat().st_size for name in ("alone", "sharing")]
    assert sizes[1] < sizes[0]
    description = preset_description(tmp_path / "sharing")
    assert description["format"] == 2 and set(description["shared_with"]) == {"first"}
    assert description["remarks"] == {"note": "kept"}
    loaded = [load_preset(tmp_path / name) for name in ("alone", "sharing")]
    for alone, sharing in zip(*(model.get_weights() for model in loaded), strict=True):
        np.testing.assert_array_equal(alone, sharing)
    trained.save_to_preset(tmp_path / "coarse", "int8", shared_with=["first"])
    assert preset_description(tmp_path / "coarse")["format"] == 3
    for alone, coarse in zip(loaded[0].get_weights(), load_preset(tmp_path / "coarse").get_weights(), strict=True):
        np.testing.assert_array_equal(alone, coarse)
    # A directory of that name is a user's own.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    save_preset(tiny.vae(), "first")
    again = load_preset(tmp_path / "sharing")
    for alone, sharing in zip(*(model.get_weights() for model in (loaded[0], again)), strict=True):
        np.testing.assert_array_equal(alone, sharing)
    # Another version of it would be another model, and without it there is none.
    save_preset(tiny.vae(), own / "first")
    with pytest.raises(ValueError, match="shares weights with a preset 'first' that .* or has in another version"):
        load_preset(tmp_path / "sharing")
    shutil.rmtree(own / "first")
    with pytest.raises(
        ValueError, match="shares weights with a preset 'first' that this version of kgen does not have"
    ):
        load_preset(tmp_path / "sharing")


def test_nothing_is_shared_with_what_is_no_preset_or_shares_itself(trained, tmp_path):
    for name in ("cat", "openmoji_128"):
        with pytest.raises(ValueError, match=f"shared_with must name presets of kgen .* got '{name}'"):
            save_preset(trained, tmp_path / "preset", shared_with=name)
    # Where nothing is equal, nothing is shared.
    save_preset(trained, tmp_path / "preset", shared_with="tiny_f8")
    assert preset_description(tmp_path / "preset")["format"] == 1
