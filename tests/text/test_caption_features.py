import os
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

import kgen.text.caption_features as module
from kgen.text import CaptionFeatures, CaptionTokens, TextEncoder

CAPTIONS = [f"a {'very ' * (i % 5)}blue circle {i}" for i in range(20)]


def same(found, wanted, rows, tolerance=1e-5):
    for name in ("pooled", "tokens", "mask"):
        np.testing.assert_allclose(found[name], wanted[name][rows], atol=tolerance)
        assert found[name].dtype == wanted[name].dtype


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 6)


def count_encoded(monkeypatch):
    encoded = []
    plain = TextEncoder.encode

    def counting(self, captions, *args, **kwargs):
        encoded.extend(captions)
        return plain(self, captions, *args, **kwargs)

    monkeypatch.setattr(TextEncoder, "encode", counting)
    return encoded


@pytest.mark.backends
@pytest.mark.parametrize("on_disk", [False, True])
def test_gathered_rows_are_what_the_encoder_says(encoder, tmp_path, small_chunks, on_disk):
    features = CaptionFeatures(encoder, CAPTIONS, path=tmp_path if on_disk else None)
    rows = features.index([CAPTIONS[13], CAPTIONS[2], CAPTIONS[13]])
    assert rows.dtype == np.int32 and list(rows) == [13, 2, 13]
    same(features.gather(rows), encoder.encode(CAPTIONS), rows)


@pytest.mark.parametrize("kind", [CaptionFeatures, CaptionTokens])
def test_captions_that_are_cut_are_told_once(encoder, small_chunks, kind):
    captions = ["a " * i for i in range(1, 31)]
    with pytest.warns(UserWarning, match=f"16 of 30 captions .* The first is '{'a ' * 14}a'") as caught:
        features = kind(encoder, captions)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features.extend(captions)


def test_each_different_caption_is_encoded_once(encoder, monkeypatch):
    encoded = count_encoded(monkeypatch)
    features = CaptionFeatures(encoder, ["a cat", "a dog", " a  cat", "ａ cat"])
    assert features.vocabulary == encoded == ["a cat", "a dog"] and len(features) == 2
    features.extend(["a dog", "a cow"])
    assert features.vocabulary == encoded == ["a cat", "a dog", "a cow"]
    assert list(features.index(["a cow", "a\ncat"])) == [2, 0]
    assert "a  dog" in features and "a pig" not in features


def test_the_next_run_reads_the_directory(encoder, tmp_path, small_chunks, monkeypatch):
    CaptionFeatures(encoder, CAPTIONS, path=tmp_path)
    wanted = encoder.encode(CAPTIONS)
    encoded = count_encoded(monkeypatch)
    again = CaptionFeatures(encoder, ["a new one", *reversed(CAPTIONS)], path=tmp_path)
    assert encoded == ["a new one"]
    assert again.vocabulary == ["a new one", *reversed(CAPTIONS)], "rows follow the captions given, not the files"
    same(again.gather(np.arange(1, 21)), wanted, np.arange(19, -1, -1))


def test_a_killed_run_goes_on_from_its_last_chunk(encoder, tmp_path, small_chunks, monkeypatch):
    plain = TextEncoder.encode
    calls = []

    def killed(self, captions, *args, **kwargs):
        calls.append(captions)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(self, captions, *args, **kwargs)

    monkeypatch.setattr(TextEncoder, "encode", killed)
    with pytest.raises(KeyboardInterrupt):
        CaptionFeatures(encoder, CAPTIONS, path=tmp_path)
    # What a kill in the middle of a write leaves behind.
    (tmp_path / "half.features.1.partial.npz").write_bytes(b"half")
    monkeypatch.setattr(TextEncoder, "encode", plain)
    encoded = count_encoded(monkeypatch)
    features = CaptionFeatures(encoder, CAPTIONS, path=tmp_path)
    assert encoded == CAPTIONS[12:]
    same(features.gather(np.arange(20)), plain(encoder, CAPTIONS), np.arange(20))


@pytest.mark.slow
def test_a_process_killed_outright_leaves_whole_files(encoder, tmp_path):
    encoder.save(tmp_path / "encoder.keras")
    code = """
        import contextlib, os, signal, sys, keras, kgen.text, kgen.text.caption_features as module
        module._CHUNK = 4
        encoder = keras.saving.load_model(sys.argv[1] + "/encoder.keras")
        plain = module.whole_file
        @contextlib.contextmanager
        def write(file):
            with plain(file) as partial:
                yield partial
            if sum(name.endswith(".features.npz") for name in os.listdir(sys.argv[1] + "/cache")) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        module.whole_file = write
        kgen.text.CaptionFeatures(encoder, [f"a blue circle {i}" for i in range(20)], path=sys.argv[1] + "/cache")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, timeout=300
    )
    assert result.returncode == -9
    captions = [f"a blue circle {i}" for i in range(20)]
    features = CaptionFeatures(encoder, captions, path=tmp_path / "cache")
    same(features.gather(np.arange(20)), encoder.encode(captions), np.arange(20))


@pytest.mark.parametrize("suffix", [".tokens.npy", ".features.npz"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_file_is_computed_again(encoder, tmp_path, small_chunks, monkeypatch, suffix, damage):
    CaptionFeatures(encoder, CAPTIONS, path=tmp_path)
    file = sorted(tmp_path.glob(f"*{suffix}"))[1]
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()
    wanted = encoder.encode(CAPTIONS)
    encoded = count_encoded(monkeypatch)
    if suffix == ".features.npz" and damage == "remove":
        features = CaptionFeatures(encoder, CAPTIONS, path=tmp_path)  # as if never written: nothing to warn of
    else:
        with pytest.warns(UserWarning, match="is damaged"):
            features = CaptionFeatures(encoder, CAPTIONS, path=tmp_path)
    assert 0 < len(encoded) <= 6
    same(features.gather(np.arange(20)), wanted, np.arange(20))


def test_features_of_another_encoder_are_not_used(encoder, tmp_path):
    CaptionFeatures(encoder, CAPTIONS, path=tmp_path)
    other = TextEncoder(encoder.backbone, encoder.preprocessor, pooling="cls")
    with pytest.warns(UserWarning, match="another encoder"):
        features = CaptionFeatures(other, CAPTIONS, path=tmp_path)
    same(features.gather(np.arange(20)), other.encode(CAPTIONS), np.arange(20))


def test_other_files_in_the_directory_are_left_alone(encoder, tmp_path):
    (tmp_path / "mine.npz").write_bytes(b"mine")
    CaptionFeatures(encoder, CAPTIONS, path=tmp_path)
    CaptionFeatures(encoder, CAPTIONS, path=tmp_path)
    assert (tmp_path / "mine.npz").read_bytes() == b"mine"


def test_float16_halves_the_tokens_and_rounds_little(encoder, tmp_path):
    half = CaptionFeatures(encoder, CAPTIONS, path=tmp_path / "half", dtype="float16")
    CaptionFeatures(encoder, CAPTIONS, path=tmp_path / "full")
    size = {name: sum(f.stat().st_size for f in (tmp_path / name).glob("*.tokens.npy")) for name in ("half", "full")}
    assert size["half"] < 0.6 * size["full"]
    found, wanted = half.gather(np.arange(20)), encoder.encode(CAPTIONS)
    assert found["tokens"].dtype == np.float32
    np.testing.assert_allclose(found["tokens"], wanted["tokens"], rtol=1e-3, atol=1e-4)


def test_unknown_captions_and_rows_are_named(encoder):
    features = CaptionFeatures(encoder, ["a cat"])
    with pytest.raises(KeyError, match="1 of 2 captions have no features yet, the first being 'a dog'"):
        features.index(["a cat", "a dog"])
    with pytest.raises(IndexError, match="rows must be from 0 to 0; got -1 to 0"):
        features.gather([0, -1])
    with pytest.raises(TypeError, match="vector of integers"):
        features.gather([0.5])


def test_bad_arguments_are_refused(encoder):
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float16'"):
        CaptionFeatures(encoder, ["a cat"], dtype="int8")
    with pytest.raises(TypeError, match="CaptionFeatures: caption 0"):
        CaptionFeatures(encoder, [1])
    with pytest.raises(ValueError, match="empty list"):
        CaptionFeatures(encoder, [])
    encoder.trainable = True
    try:
        with pytest.raises(ValueError, match="the encoder is trainable"):
            CaptionFeatures(encoder, ["a cat"])
    finally:
        encoder.trainable = False


def test_a_file_in_place_of_the_directory_is_refused(encoder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        CaptionFeatures(encoder, ["a cat"], path=tmp_path / "file")
    assert os.path.isfile(tmp_path / "file")


def test_the_directory_stays_the_same_after_chdir(encoder, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    features = CaptionFeatures(encoder, ["a cat"], path="cache")
    monkeypatch.chdir(tmp_path / "other")
    features.extend(["a dog"])
    assert len(features) == 2 and not list((tmp_path / "other").iterdir())
