"""Base of the heads that choose among classes."""

from __future__ import annotations

from kgen import checks
from kgen.heads.head import Head
from kgen.inputs.batch_checks import check_numbers


class ClassHead(Head):
    """A head that chooses among classes."""

    # The lowest number that an answer may be.
    least = 0

    def __init__(self, num_classes=None, class_names=None):
        self.class_names = _names(type(self).__name__, num_classes, class_names)
        self.num_classes = len(self.class_names)

    @property
    def limits(self):
        """`(name of the answers, lowest number, highest number)`."""
        return self.targets, self.least, self.num_classes - 1

    def check_numbers(self, owner, numbers):
        """Raises ValueError unless all are integers within the limits."""
        name, least, most = self.limits
        check_numbers(owner, name, numbers, least, most)


def _names(owner, num_classes, class_names):
    """Names of the classes; their numbers, as strings, if they have none."""
    if num_classes is None and class_names is None:
        raise ValueError(f"{owner}: pass num_classes or class_names.")
    if num_classes is not None:
        num_classes = checks.integer(owner, "num_classes", num_classes, least=2)
    if class_names is None:
        return [str(number) for number in range(num_classes)]
    names = [class_names] if isinstance(class_names, str) else [str(name) for name in class_names]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"{owner}: class_names must be at least two different names; got {class_names!r}.")
    if num_classes not in (None, len(names)):
        raise ValueError(f"{owner}: class_names must contain num_classes={num_classes} names; got {len(names)}.")
    return names
