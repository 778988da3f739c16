"""The stages of a multiscale network: their grids, channels and depths, from the arguments that a user writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kgen.checks import integer
from kgen.types import ImageShape

MIN_FILTERS = 32  # narrower convolutions are slower than their size suggests, on every machine


def stage_grids(owner: str, image_shape: ImageShape, coarsest: int, patch: int) -> list[tuple[int, int]]:
    """Grid of each stage, coarse to fine. Each is twice the one before; the last is the image's size / patch.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        coarsest: shorter side of the coarsest grid.
        patch: how many times smaller than the image the finest grid is.

    Returns:
        A list of `(height, width)`.

    Raises:
        ValueError: if the shape is not an image shape, or doubling does not reach it.

    Example:
        ```python
        stage_grids("MyNetwork", (28, 28, 1), coarsest=7, patch=1)  # [(7, 7), (14, 14), (28, 28)]
        ```
    """
    check_image_shape(owner, image_shape)
    patch = integer(owner, "patch", patch)
    coarsest = integer(owner, "the coarsest side", coarsest)
    height, width, _ = image_shape
    if height % patch or width % patch:
        raise ValueError(f"{owner}: patch must divide height and width; got {patch} for {height}x{width}.")
    grids = [(height // patch, width // patch)]
    while min(grids[0]) > coarsest and all(side % 2 == 0 for side in grids[0]):
        grids.insert(0, (grids[0][0] // 2, grids[0][1] // 2))
    if min(grids[0]) != coarsest:
        reached = sorted({min(grid) for grid in grids})
        below = coarsest * patch
        while 2 * below <= min(height, width):
            below *= 2
        raise ValueError(
            f"{owner}: a coarsest side of {coarsest} cannot be doubled to {height}x{width} pixels in patches of "
            f"{patch}, only to a shorter side of {below} or {2 * below}. Scale the images, choose another patch, or "
            f"choose a coarsest side that halving reaches: {', '.join(map(str, reached))}."
        )
    return grids


def halved_side(image_shape: ImageShape, patch: int, most: int) -> int:
    """Shorter side of the grid of patches, halved until that side is at most `most`, or until a side is odd.

    Example:
        ```python
        halved_side((64, 72, 3), patch=2, most=7)  # 8, of 8x9
        ```
    """
    height, width = (side // patch for side in image_shape[:2])
    while min(height, width) > most and height % 2 == width % 2 == 0:
        height, width = height // 2, width // 2
    return min(height, width)


def coarsest_side(owner: str, image_shape: ImageShape, patch: int = 1) -> int:
    """Shorter side, 4 to 7, of the coarsest grid that halving an image leads to.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        patch: how many times smaller than the image the finest grid is.

    Returns:
        4, 5, 6 or 7, for `stage_grids`.

    Raises:
        ValueError: if the shape is not an image shape, or halving does not reach such a grid.

    Example:
        ```python
        coarsest_side("MyNetwork", (28, 28, 1))  # 7
        ```
    """
    check_image_shape(owner, image_shape)
    height, width, _ = image_shape
    for side in range(4, 8):
        times, rest = divmod(min(height, width), side * patch)
        if not rest and times and times & (times - 1) == 0 and max(height, width) % (times * patch) == 0:
            return side
    raise ValueError(
        f"{owner}: {height}x{width} pixels cannot be reached by doubling both sides of a grid whose shorter side is 4, "
        f"5, 6 or 7. The minimum is {4 * patch} pixels. Scale, crop or pad the images to sides such as 28, 32, 40, 48, "
        "64, 96 or 128."
    )


def stage_filters(owner: str, filters: int | Sequence[int], stages: int) -> list[int]:
    """Channels of each stage, coarse to fine: a given list, or one number that is halved down to a floor.

    Args:
        owner: name that errors begin with.
        filters: channels of the coarsest stage, or of each stage.
        stages: number of stages.

    Raises:
        ValueError: if a list has the wrong length, or a number is not an integer of at least 1.
    """
    if not isinstance(filters, Iterable):
        filters = integer(owner, "filters", filters)
        floor = min(MIN_FILTERS, filters)
        filters = [max(filters // 2**stage, floor) for stage in range(stages)]
    return _numbers(owner, "filters", filters, stages, "one per stage, coarse to fine")


def stage_blocks(owner: str, blocks: int | Sequence[int], stages: int) -> list[int]:
    """Number of blocks of each stage, coarse to fine: a given list, or the same number everywhere.

    Args:
        owner: name that errors begin with.
        blocks: one number, or one per stage. A stage with 0 only resamples.
        stages: number of stages.

    Raises:
        ValueError: if a list has the wrong length, or a number is not an integer of at least 0.
    """
    return _numbers(owner, "blocks", blocks, stages, "one per stage, coarse to fine", least=0)


def stage_latents(
    owner: str, latent_channels: int | Sequence[int], levels: int, grids: Sequence[tuple[int, int]]
) -> list[int]:
    """Channels of the latents on each grid of a ladder, coarse to fine. The first level is a vector without a grid.

    Args:
        owner: name that errors begin with.
        latent_channels: one number, or one for each level but the first.
        levels: number of levels, including the first.
        grids: `(height, width)` of each stage.

    Returns:
        A list of `levels - 1` integers.

    Raises:
        ValueError: if there are more levels than grids allow, a list has the wrong length, or a number is not an
            integer of at least 1.
    """
    sizes = ", ".join(f"{height}x{width}" for height, width in grids)
    levels = integer(owner, f"levels (a vector, and up to {len(grids)} grids: {sizes})", levels, 1, len(grids) + 1)
    return _numbers(owner, "latent_channels", latent_channels, levels - 1, "one for each level but the first")


def check_attention_resolutions(
    owner: str, attention_resolutions: Sequence[int], grids: Sequence[tuple[int, int]]
) -> None:
    """Checks that every attention resolution is the shorter side of a grid.

    Args:
        owner: name that errors begin with.
        attention_resolutions: shorter sides of the grids with attention.
        grids: `(height, width)` of each stage.

    Raises:
        ValueError: if there is no such grid.
    """
    sides = [min(grid) for grid in grids]
    unknown = [resolution for resolution in attention_resolutions if resolution not in sides]
    if unknown:
        raise ValueError(f"{owner}: no stage has attention_resolutions {unknown}; the stages have {sides}.")


def check_image_shape(owner: str, image_shape: ImageShape) -> None:
    """Checks that a shape is `(height, width, channels)`, three integers of at least 1."""
    if len(image_shape) != 3:
        raise ValueError(f"{owner}: image_shape must be (height, width, channels); got {tuple(image_shape)}.")
    for name, size in zip(("height", "width", "channels"), image_shape):
        integer(owner, f"{name} in image_shape", size)


def _numbers(
    owner: str, argument: str, numbers: int | Sequence[int], count: int, meaning: str, least: int = 1
) -> list[int]:
    """A list of `count` integers, from one number or from `count` of them."""
    if not isinstance(numbers, Iterable):
        return [integer(owner, argument, numbers, least)] * count
    if len(numbers) != count:
        raise ValueError(f"{owner}: {argument} must be one number, or {count}, {meaning}; got {list(numbers)}.")
    return [integer(owner, argument, number, least) for number in numbers]
