import numpy as np
import pytest

from kgen.networks.stages import (
    check_attention_resolutions,
    coarsest_side,
    halved_side,
    stage_blocks,
    stage_filters,
    stage_grids,
    stage_latents,
)


def test_grids_double_up_to_the_image():
    assert stage_grids("N", (64, 64, 3), coarsest=4, patch=1) == [(4, 4), (8, 8), (16, 16), (32, 32), (64, 64)]
    assert stage_grids("N", (28, 28, 1), coarsest=7, patch=1) == [(7, 7), (14, 14), (28, 28)]
    assert stage_grids("N", (32, 48, 3), coarsest=8, patch=2) == [(8, 12), (16, 24)]
    assert stage_grids("N", (4, 4, 3), coarsest=4, patch=1) == [(4, 4)]


@pytest.mark.parametrize(
    "image_shape, coarsest, patch, message",
    [
        ((64, 64), 4, 1, r"N: image_shape must be \(height, width, channels\); got \(64, 64\)"),
        ((64, 64.0, 3), 4, 1, "N: width in image_shape must be an integer of at least 1; got 64.0"),
        ((64, 0, 3), 4, 1, "N: width in image_shape must be an integer of at least 1; got 0"),
        (
            (28, 28, 1),
            4,
            1,
            "28x28 pixels in patches of 1, only to a shorter side of 16 or 32",
        ),
        ((32, 36, 3), 4, 1, "a coarsest side that halving reaches: 8, 16, 32"),
        ((30, 30, 3), 4, 4, "patch must divide height and width; got 4 for 30x30"),
        ((32, 32, 3), 0, 1, "N: the coarsest side must be an integer of at least 1; got 0"),
        ((32, 32, 3), 4, 0, "N: patch must be an integer of at least 1; got 0"),
    ],
)
def test_refuses_shapes_that_cannot_be_reached(image_shape, coarsest, patch, message):
    with pytest.raises(ValueError, match=message):
        stage_grids("N", image_shape, coarsest, patch)


def test_halved_while_both_sides_are_even():
    sizes = ((64, 64, 3), (32, 36, 3), (36, 32, 3), (7, 64, 3), (30, 30, 3))
    assert [halved_side(size, 1, most=7) for size in sizes] == [4, 8, 8, 7, 15]
    assert halved_side((64, 72, 3), 2, most=7) == 8


def test_coarsest_side_is_where_halving_leads():
    for shape, patch, side in (
        ((28, 28, 1), 1, 7), ((28, 28, 1), 2, 7), ((32, 32, 3), 1, 4), ((48, 32, 3), 1, 4), ((128, 192, 3), 4, 4),
        ((40, 40, 1), 2, 5), ((96, 96, 3), 1, 6), ((4, 6, 1), 1, 4),
    ):  # fmt: skip
        assert coarsest_side("N", shape, patch) == side
        assert min(stage_grids("N", shape, side, patch)[0]) == side
    for shape, patch in (((36, 36, 1), 1), ((3, 8, 1), 1), ((28, 30, 1), 1), ((8, 8, 1), 4), ((28, 28, 1), 8)):
        with pytest.raises(ValueError, match=f"N: {shape[0]}x{shape[1]} pixels .* The minimum is {4 * patch} pixels"):
            coarsest_side("N", shape, patch)
    with pytest.raises(ValueError, match="N: image_shape must be"):
        coarsest_side("N", (28, 28))


def test_filters_halve_down_to_a_floor():
    assert stage_filters("N", 256, 5) == [256, 128, 64, 32, 32]
    assert stage_filters("N", 16, 3) == [16, 16, 16]
    assert stage_filters("N", (40, 20), 2) == [40, 20] and stage_filters("N", np.int64(64), 2) == [64, 32]


def test_refuses_lists_that_do_not_fit_the_stages():
    with pytest.raises(ValueError, match=r"N: filters must be one number, or 3, one per stage, .* to fine; got \[8\]"):
        stage_filters("N", [8], 3)
    with pytest.raises(ValueError, match="N: filters must be an integer of at least 1; got 0"):
        stage_filters("N", [8, 0], 2)
    assert stage_blocks("N", 2, 3) == [2, 2, 2] and stage_blocks("N", (3, 0), 2) == [3, 0]
    with pytest.raises(ValueError, match="blocks must be one number, or 2"):
        stage_blocks("N", (1, 1, 1), 2)
    with pytest.raises(ValueError, match="N: blocks must be an integer of at least 0; got -1"):
        stage_blocks("N", -1, 2)
    with pytest.raises(ValueError, match=r"no stage has attention_resolutions \[16\]; the stages have \[4, 8\]"):
        check_attention_resolutions("N", (8, 16), [(4, 6), (8, 12)])


def test_latents_of_each_level_but_the_first():
    grids = [(7, 7), (14, 14)]
    assert stage_latents("N", 4, 1, grids) == [] and stage_latents("N", 4, 3, grids) == [4, 4]
    assert stage_latents("N", (4, 1), 3, grids) == [4, 1] and stage_latents("N", [4], 2, grids) == [4]
    for levels in (0, 4, 1.0, True):
        with pytest.raises(
            ValueError, match=f"N: levels .* 2 grids: 7x7, 14x14. must be an integer from 1 to 3; got {levels}"
        ):
            stage_latents("N", 4, levels, grids)
    with pytest.raises(
        ValueError, match=r"latent_channels must be one number, or 1, one for each level but the .* 1\]"
    ):
        stage_latents("N", (4, 1), 2, grids)
    for channels in (0, (0,)):
        with pytest.raises(ValueError, match="N: latent_channels must be an integer of at least 1; got 0"):
            stage_latents("N", channels, 2, grids)
