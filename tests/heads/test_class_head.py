import pytest

from kgen.heads import ClassificationHead, SegmentationHead


@pytest.mark.parametrize("head", [ClassificationHead, SegmentationHead])
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "pass num_classes or class_names"),
        ({"num_classes": 3, "class_names": ["a", "b"]}, "class_names must contain num_classes=3 names; got 2"),
        ({"num_classes": 1}, "num_classes must be an integer of at least 2; got 1"),
        ({"num_classes": True}, "num_classes must be an integer of at least 2; got True"),
        ({"class_names": ["a"]}, "class_names must be at least two different names"),
        ({"class_names": "ab"}, "class_names must be at least two different names"),
        ({"class_names": ["a", "b", "a"]}, "class_names must be at least two different names"),
    ],
)
def test_classes_that_cannot_be(head, arguments, message):
    with pytest.raises(ValueError, match=f"{head.__name__}: {message}"):
        head(**arguments)
