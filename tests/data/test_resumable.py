import keras
import pytest

from kgen.data.resumable import begin, fingerprint, was_begun


def test_work_goes_on_with_the_same_and_not_with_another(tmp_path):
    file = tmp_path / "work.json"
    assert not was_begun("Owner", file, {"seed": 1}, "drawn", "stop")
    begin(file, {"seed": 1, "size": 8})
    assert was_begun("Owner", file, {"seed": 1, "size": 8}, "drawn", "stop")
    with pytest.raises(ValueError, match="Owner: '.*' was drawn with another seed. Use the same again, or stop."):
        was_begun("Owner", file, {"seed": 2, "size": 8}, "drawn", "stop")


@pytest.mark.backends
def test_a_fingerprint_is_of_class_and_weights():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    before = fingerprint(model)
    assert before == fingerprint(model) and before.startswith("Sequential ")
    model.set_weights([2 * weight + 1 for weight in model.get_weights()])
    assert fingerprint(model) != before
    assert fingerprint(object()).startswith("object ")
