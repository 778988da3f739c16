import numpy as np
import pytest
from PIL import Image, ImageSequence

from kgen.visualization import save_animation

FRAMES = np.zeros((4, 6, 8, 3), "uint8")
FRAMES[np.arange(4), :, np.arange(4)] = (250, 120, 10)


def read(path):
    with Image.open(path) as image:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
        return np.stack(frames), image.info


@pytest.mark.parametrize("ending", ["gif", "PNG"])
def test_what_is_written_is_what_is_read(tmp_path, ending):
    save_animation(FRAMES, tmp_path / f"walk.{ending}", frames_per_second=20)
    frames, info = read(tmp_path / f"walk.{ending}")
    assert frames.shape == FRAMES.shape and info["loop"] == 0 and info["duration"] == 50
    assert np.abs(frames.astype(int) - FRAMES).max() <= (8 if ending == "gif" else 0)


@pytest.mark.parametrize(("rate", "times"), [(15, {"gif": 70, "png": 67}), (60, {"gif": 20, "png": 17})])
def test_frame_times_are_rounded_not_cut(tmp_path, rate, times):
    for ending, milliseconds in times.items():
        save_animation(FRAMES, tmp_path / f"walk.{ending}", frames_per_second=rate)
        assert read(tmp_path / f"walk.{ending}")[1]["duration"] == milliseconds


def test_there_and_back_larger_and_grey(tmp_path):
    save_animation(FRAMES[..., :1], tmp_path / "walk.png", back=True, scale=2)
    frames, _ = read(tmp_path / "walk.png")
    assert frames.shape == (6, 12, 16, 3)
    np.testing.assert_array_equal(frames[4, ::2, ::2, 0], FRAMES[2, ..., 0])
    np.testing.assert_array_equal(frames[1, 1::2, 1::2, 2], FRAMES[1, ..., 0])


def test_its_folder_is_made_in_the_home_directory_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_animation(FRAMES, "~/new/walk.gif")
    assert read(tmp_path / "new" / "walk.gif")[0].shape == FRAMES.shape


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"path": "walk.mp4"}, ValueError, "must end in .gif or .png; got 'walk.mp4'"),
        ({"frames": FRAMES / 255}, TypeError, "images must be a uint8 array"),
        ({"frames": FRAMES[0]}, ValueError, "images must have shape"),
        ({"frames_per_second": 0}, ValueError, "frames_per_second must be positive; got 0"),
        ({"scale": 1.5}, ValueError, "scale must be an integer of at least 1; got 1.5"),
    ],
)
def test_bad_input(change, error, said):
    with pytest.raises(error, match=f"save_animation: .*{said}"):
        save_animation(**{"frames": FRAMES, "path": "walk.gif", **change})
