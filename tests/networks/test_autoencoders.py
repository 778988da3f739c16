import pytest

from kgen.networks import (
    LadderDecoder,
    LadderEncoder,
    MultiscaleDecoder,
    MultiscaleEncoder,
    encoder_and_decoder,
    sized_encoder,
)


def test_one_level_and_one_scale_are_the_plain_networks():
    encoder, decoder = encoder_and_decoder("M", (28, 28, 1), 5, channels=2, pooled_dim=3, attention_resolutions=(14,))
    assert type(encoder) is MultiscaleEncoder and type(decoder) is MultiscaleDecoder
    assert encoder.output_shape == (None, 10) and decoder.output_shape == (None, 28, 28, 2)
    assert encoder.pooled_dim == decoder.pooled_dim == 3
    assert encoder.attention_resolutions == decoder.attention_resolutions == (14,)


@pytest.mark.parametrize("arguments", [{"levels": 3}, {"all_scales": True}])
def test_more_levels_or_scales_are_a_ladder(arguments):
    encoder, decoder = encoder_and_decoder(
        "M", (16, 24, 3), 5, latent_channels=1, attention_resolutions=(4,), **arguments
    )
    assert type(encoder) is LadderEncoder and type(decoder) is LadderDecoder
    assert encoder.latent_dims == decoder.latent_dims == ((5, 4 * 6, 8 * 12) if "levels" in arguments else (5,))
    assert encoder.feature_shapes == decoder.feature_shapes
    assert decoder.resolutions == ((8, 16) if "all_scales" in arguments else (16,))
    assert encoder.attention_resolutions == decoder.attention_resolutions == (4,)


def test_sizes():
    small, medium = (sized_encoder("M", (8, 8, 3), 1, size=size, name="judge") for size in ("small", "medium"))
    assert small.name == "judge" and small.output_shape == (None, 1) and small.patch == 2 and medium.patch == 1
    assert small.count_params() < medium.count_params()


def test_what_there_is_not():
    with pytest.raises(ValueError, match="M: size must be one of 'small', 'medium', 'large'; got 'tiny'"):
        encoder_and_decoder("M", (28, 28, 1), 5, size="tiny")
    with pytest.raises(ValueError, match="M: 36x36 pixels cannot be reached by doubling"):
        sized_encoder("M", (36, 36, 1), 5)
