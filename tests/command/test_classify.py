import pytest
from PIL import Image

from kgen.presets import load_preset
from tests.models import tiny

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture
def files(folder):
    images, _ = tiny.bands(3)
    for i, image in enumerate(images):
        Image.fromarray(image).save(f"{i}.png")
    return [f"{i}.png" for i in range(3)]


@pytest.mark.backends
def test_classes(done, kgen, classifier, files):
    result = done("classify", classifier, *files, "--top", 2)
    expected = load_preset(classifier).classify(tiny.bands(3)[0], top=2)
    assert [each["file"] for each in result["images"]] == files
    for each, best in zip(result["images"], expected):
        assert [one["name"] for one in each["classes"]] == [name for name, _ in best]
        assert [one["probability"] for one in each["classes"]] == pytest.approx([share for _, share in best])
    code, out, err = kgen("classify", classifier, *files, "--top", 1)
    name, share = expected[0][0]
    assert code == 0 and out.splitlines()[0] == f"0.png: {name} {share:.1%}" and out.count("\n") == 3


def test_other_names_and_more_than_there_are(done, classifier, files):
    result = done("classify", classifier, files[0], "--top", 9, "--names", "a", "b", "c")
    assert sorted(one["name"] for one in result["images"][0]["classes"]) == ["a", "b", "c"]


def test_bad_input(failed, classifier, files, folder, trained_text_to_image):
    assert "there is no file 'none.png'" in failed(1, "classify", classifier, "none.png")
    (folder / "broken.png").write_bytes(b"x")
    assert "'broken.png' cannot be read as an image" in failed(1, "classify", classifier, "broken.png")
    assert "argument --top: must be a whole number from 1" in failed(2, "classify", classifier, files[0], "--top", 0)
    assert "this command takes ImageClassifier, " in failed(2, "classify", trained_text_to_image, files[0])
