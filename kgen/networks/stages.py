"""The stages of a multiscale network: their grids, widths and depths, from arguments a person writes."""

MIN_FILTERS = 32  # narrower convolutions are slower than their size on every machine


def stage_grids(owner, image_shape, coarsest, patch):
    """Grid of each stage, coarse to fine, each twice the one before, the last `image_shape / patch`.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        coarsest: shorter side of the coarsest grid.
        patch: how many times smaller than the image the finest grid is.

    Returns:
        A list of `(height, width)`.

    Raises:
        ValueError: the shape is no image shape or cannot be reached by doubling.

    Example:
        ```python
        stage_grids("MyNetwork", (28, 28, 1), coarsest=7, patch=1)  # [(7, 7), (14, 14), (28, 28)]
        ```
    """
    check_image_shape(owner, image_shape)
    height, width, _ = image_shape
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"{owner}: patch must divide height and width; got {patch} for {height}x{width}.")
    grids = [(height // patch, width // patch)]
    while min(grids[0]) > coarsest and all(side % 2 == 0 for side in grids[0]):
        grids.insert(0, (grids[0][0] // 2, grids[0][1] // 2))
    if min(grids[0]) != coarsest:
        reached = sorted({min(grid) for grid in grids})
        raise ValueError(
            f"{owner}: {height}x{width} pixels in patches of {patch} are not a coarsest side of {coarsest} doubled. "
            f"Halving reaches {', '.join(map(str, reached))}: choose one of these, or another image_shape or patch."
        )
    return grids


def coarsest_side(owner, image_shape, patch=1):
    """Shorter side of the grid, of 4 to 7, that halving an image leads to.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        patch: how many times smaller than the image the finest grid is.

    Returns:
        4, 5, 6 or 7, for `stage_grids`.

    Raises:
        ValueError: the shape is no image shape, or halving leads to no such grid.

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
        f"5, 6 or 7, {4 * patch} pixels being the least. Scale, crop or pad the pictures to such sides as 28, 32, 40, "
        "48, 64, 96 or 128."
    )


def stage_filters(owner, filters, stages):
    """Channels of each stage, coarse to fine: those given, or one number halved at every stage down to a floor.

    Args:
        owner: name that errors begin with.
        filters: channels of the coarsest stage, or of each stage.
        stages: number of stages.

    Returns:
        A list of ints.

    Raises:
        ValueError: as many numbers as there are stages were not given, or one is below 1.
    """
    if isinstance(filters, int):
        floor = min(MIN_FILTERS, filters)
        filters = [max(filters // 2**stage, floor) for stage in range(stages)]
    return _one_per_stage(owner, "filters", filters, stages, smallest=1)


def stage_blocks(owner, blocks, stages):
    """Number of blocks of each stage, coarse to fine: those given, or the same everywhere.

    Args:
        owner: name that errors begin with.
        blocks: one number, or one for each stage; 0 leaves a stage to its resampling alone.
        stages: number of stages.

    Returns:
        A list of ints.

    Raises:
        ValueError: as many numbers as there are stages were not given, or one is below 0.
    """
    blocks = [blocks] * stages if isinstance(blocks, int) else blocks
    return _one_per_stage(owner, "blocks", blocks, stages, smallest=0)


def stage_latents(owner, latent_channels, levels, grids):
    """Channels of the latents on each grid of a ladder, coarse to fine; its first level, a vector, lies on none.

    Args:
        owner: name that errors begin with.
        latent_channels: one number, or one for each level but the first.
        levels: number of levels, the first one included.
        grids: `(height, width)` of each stage.

    Returns:
        A list of `levels - 1` ints.

    Raises:
        ValueError: there are not so many grids, or not so many numbers, or one is below 1.
    """
    if isinstance(levels, bool) or not isinstance(levels, int) or not 1 <= levels <= len(grids) + 1:
        raise ValueError(
            f"{owner}: levels must be 1, a vector, and at most one more for each of the {len(grids)} grids "
            f"{', '.join(f'{height}x{width}' for height, width in grids)}; got {levels!r}."
        )
    channels = [latent_channels] * (levels - 1) if isinstance(latent_channels, int) else list(latent_channels)
    if len(channels) != levels - 1 or min(channels, default=1) < 1:
        raise ValueError(
            f"{owner}: latent_channels must be one number of at least 1, or one for each level but the first, which is "
            f"{levels - 1}; got {latent_channels}."
        )
    return channels


def check_attention_resolutions(owner, attention_resolutions, grids):
    """Refuses a resolution that no stage has.

    Args:
        owner: name that errors begin with.
        attention_resolutions: shorter sides of the grids that are to have attention.
        grids: `(height, width)` of each stage.

    Raises:
        ValueError: a resolution is the shorter side of no grid.
    """
    sides = [min(grid) for grid in grids]
    strange = [resolution for resolution in attention_resolutions if resolution not in sides]
    if strange:
        raise ValueError(f"{owner}: attention_resolutions {strange} are no stage's; the stages' are {sides}.")


def check_image_shape(owner, image_shape):
    """Refuses what is not three whole numbers of at least 1."""
    if len(image_shape) != 3 or any(not isinstance(side, int) or side < 1 for side in image_shape):
        raise ValueError(
            f"{owner}: image_shape must be (height, width, channels) in whole numbers; got {tuple(image_shape)}."
        )


def _one_per_stage(owner, argument, numbers, stages, smallest):
    numbers = list(numbers)
    if len(numbers) != stages:
        raise ValueError(
            f"{owner}: {argument} must be one number or {stages}, one a stage, coarse to fine; got {numbers}."
        )
    if min(numbers) < smallest:
        raise ValueError(f"{owner}: {argument} must be at least {smallest}; got {numbers}.")
    return numbers
