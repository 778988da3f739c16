import keras
import pytest

from kgen.heads import ClassificationHead, Head, SegmentationHead


@pytest.mark.parametrize(
    "head",
    [
        ClassificationHead(class_names=["a", "b"], dropout=0.3, label_smoothing=0.1),
        SegmentationHead(4, filters=8, dice_weight=0.5),
    ],
)
def test_config(head):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert type(again) is type(head) and vars(again) == vars(head)


def test_a_subclass_says_what_it_asks():
    for call in (lambda: Head().attach(None, {}, ""), lambda: Head().loss(None, None)):
        with pytest.raises(NotImplementedError, match="Head must define"):
            call()
