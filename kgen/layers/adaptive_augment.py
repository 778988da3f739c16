"""Augmentation whose strength follows how much a discriminator overfits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgen.checks import number
from kgen.layers.diff_augment import DiffAugment
from kgen.layers.seeded_layer import Seed
from kgen.serializable import serializable


@serializable
class AdaptiveAugment(DiffAugment):
    """`DiffAugment` whose probability follows how much the discriminator overfits; it starts at 0.

    The measure is r = E[sign(D(x))] over the real images x of four batches, where D gives logits. At r = 0 the
    discriminator cannot tell real images from generated ones; at r = 1 it recognises every real one. While r is above
    the target, the probability p of each transformation grows; while it is below, p shrinks. Each image seen moves p
    by 1 / `images`, and p stays in [0, 1] (Karras et al. 2020, "Training Generative Adversarial Networks with Limited
    Data", section 3). So a large data set is left alone, and a small one gets the augmentation it needs.

    The model being trained keeps p, saves it, and reports it as `augmentation_probability`. Called on its own, the
    layer is a `DiffAugment`.

    Args:
        policy, strength, seed: as in `DiffAugment`.
        target: the r to hold, above 0 and below 1. The paper's 0.6 suits most data sets.
        images: number of images in which p can go from 0 to 1. Use fewer for a short training.

    Raises:
        ValueError: if `target` or `images` is out of range, or for the reasons given in `DiffAugment`.

    Example:
        ```python
        gan.compile(augmentation=AdaptiveAugment(images=50_000))
        ```
    """

    def __init__(
        self,
        policy: str | Sequence[str] = ("color", "translation", "cutout"),
        strength: float = 1.0,
        seed: Seed = None,
        target: float = 0.6,
        images: float = 500_000,
        **kwargs: Any,
    ):
        super().__init__(policy, strength, seed, **kwargs)
        if not 0 < target < 1:
            raise ValueError(f"AdaptiveAugment: target must be between 0 and 1; got {target}.")
        self.target = target
        self.images = number("AdaptiveAugment", "images", images, least=1)
