"""Short names for losses, as Keras gives them to optimizers and activations."""

from __future__ import annotations

from kgen.losses.adversarial import Hinge, LeastSquares, Minimax, NonSaturating, Relativistic, Wasserstein
from kgen.losses.reconstruction import Gaussian, Logistic

_NAMED = {
    "adversarial": {
        "non_saturating": NonSaturating,
        "minimax": Minimax,
        "least_squares": LeastSquares,
        "hinge": Hinge,
        "wasserstein": Wasserstein,
        "relativistic": Relativistic,
    },
    "reconstruction": {"logistic": Logistic, "gaussian": Gaussian},
}


def get(kind, identifier):
    """A loss from its short name, or the loss itself.

    Args:
        kind: `"adversarial"` or `"reconstruction"`.
        identifier: a short name such as `"non_saturating"`, or an object with the methods of such a loss.

    Raises:
        ValueError: for a name that is not known, naming those that are.

    Example:

    ```python
    kgen.losses.get("reconstruction", "logistic")
    ```
    """
    named = _NAMED[kind]
    if isinstance(identifier, str):
        if identifier not in named:
            raise ValueError(f"kgen.losses: no {kind} loss is called {identifier!r}; there are {sorted(named)}.")
        return named[identifier]()
    needed = ("generator", "discriminator") if kind == "adversarial" else ("loss", "mean")
    if not all(callable(getattr(identifier, method, None)) for method in needed) or isinstance(identifier, type):
        raise ValueError(
            f"kgen.losses: the {kind} loss must be one of {sorted(named)} or an object with the methods {needed}; "
            f"got {identifier!r}."
        )
    return identifier
