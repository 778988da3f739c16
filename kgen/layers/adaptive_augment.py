"""Augmentation that is as strong as a discriminator needs it."""

import keras

from kgen.layers.diff_augment import DiffAugment


@keras.saving.register_keras_serializable(package="kgen")
class AdaptiveAugment(DiffAugment):
    """`DiffAugment` whose probability follows how far the discriminator overfits, from 0, where training begins.

    Of r = E[sign(D(x))] over the real images x of four batches, D the logit: 0 says that the discriminator cannot tell
    them from generated ones, 1 that it knows every one. Where r is above the target, each transformation of each image
    becomes more likely, where it is below, less: the probability p moves by a share of 1 / `images` for every image
    seen, and stays in [0, 1] (Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
    section 3). So a large set is left alone, and a small one gets what it needs.

    The model that trains keeps p, which is saved with it, and reports it as `augmentation_probability`. Called on its
    own, the layer is `DiffAugment`.

    Args:
        policy: as of `DiffAugment`.
        strength: as of `DiffAugment`.
        seed: as of `DiffAugment`.
        target: r to hold, in (0, 1). The paper's 0.6 suits most sets.
        images: number of images in which p can go from 0 to 1: fewer for a short training.

    Raises:
        ValueError: `target` or `images` is out of range, or what `DiffAugment` refuses.

    Example:
        ```python
        gan.compile(augmentation=AdaptiveAugment(images=50_000))
        ```
    """

    def __init__(
        self,
        policy=("color", "translation", "cutout"),
        strength=1.0,
        seed=None,
        target=0.6,
        images=500_000,
        **kwargs,
    ):
        super().__init__(policy, strength, seed, **kwargs)
        if not 0 < target < 1:
            raise ValueError(f"AdaptiveAugment: target must be between 0 and 1; got {target}.")
        if isinstance(images, bool) or not images >= 1:
            raise ValueError(f"AdaptiveAugment: images must be at least 1; got {images!r}.")
        self.target = target
        self.images = images

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "target": self.target, "images": self.images}
