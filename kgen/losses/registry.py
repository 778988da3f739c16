"""Short names for losses and what goes with them, as Keras gives them to optimizers and activations."""

from __future__ import annotations

from kgen.losses.adversarial import Hinge, LeastSquares, Minimax, NonSaturating, Relativistic, Wasserstein
from kgen.losses.continuous_likelihoods import (
    Gaussian,
    Laplace,
    LearnedGaussian,
    OptimalGaussian,
    PixelGaussian,
)
from kgen.losses.contrastive import InfoNCE, SigmoidContrastive
from kgen.losses.mixup import Mixup
from kgen.losses.penalties import R1, R2, Dragan, GradientPenalty
from kgen.losses.pixel import L1, L2, Charbonnier
from kgen.losses.reconstruction import DiscretizedLogistic, Logistic

_NAMED = {
    "adversarial loss": {
        "non_saturating": NonSaturating,
        "minimax": Minimax,
        "least_squares": LeastSquares,
        "hinge": Hinge,
        "wasserstein": Wasserstein,
        "relativistic": Relativistic,
    },
    "reconstruction loss": {
        "logistic": Logistic,
        "bernoulli": Logistic,
        "gaussian": Gaussian,
        "learned_gaussian": LearnedGaussian,
        "optimal_gaussian": OptimalGaussian,
        "pixel_gaussian": PixelGaussian,
        "laplace": Laplace,
        "discretized_logistic": DiscretizedLogistic,
    },
    "penalty": {"r1": R1, "r2": R2, "gradient_penalty": GradientPenalty, "dragan": Dragan},
    "mixing": {"mixup": Mixup},
    "pixel loss": {"l1": L1, "l2": L2, "charbonnier": Charbonnier},
    "contrastive loss": {"info_nce": InfoNCE, "sigmoid_contrastive": SigmoidContrastive},
}
_NEEDED = {
    "adversarial loss": ("generator", "discriminator"),
    "reconstruction loss": ("loss", "mean"),
    "penalty": ("points", "cost", "every"),
    "mixing": ("mixed",),
    "pixel loss": ("loss",),
    "contrastive loss": ("loss", "initial_scale", "largest_scale", "initial_bias"),
}


def get(kind, identifier):
    """A loss, a penalty or a mixing from its short name, or the object itself.

    Args:
        kind: `"adversarial loss"`, `"reconstruction loss"`, `"penalty"`, `"mixing"`, `"pixel loss"` or
            `"contrastive loss"`.
        identifier: a short name such as `"non_saturating"`, or an object that has what one needs.

    Raises:
        ValueError: for a name that is not known, naming those that are, or for anything else.

    Example:

    ```python
    kgen.losses.get("penalty", "r1")
    ```
    """
    named, needed = _NAMED[kind], _NEEDED[kind]
    if isinstance(identifier, str):
        if identifier not in named:
            raise ValueError(f"kgen.losses: no {kind} is called {identifier!r}; there are {sorted(named)}.")
        return named[identifier]()
    if isinstance(identifier, type) or not all(hasattr(identifier, name) for name in needed):
        raise ValueError(
            f"kgen.losses: the {kind} must be one of {sorted(named)} or an object with {', '.join(needed)}; got "
            f"{identifier!r}."
        )
    return identifier
