import numpy as np
import pytest

import kgen
from kgen import losses
from kgen.layers import AdaptiveInstanceNorm, channel_statistics
from tests.models import tiny_style
from tests.models.test_style_transfer import array, scaled


@pytest.mark.backends
def test_losses_by_hand():
    model = tiny_style.model()
    model.compile(style_weight=3.0, identity_weight=2.0)
    contents, styles = tiny_style.images(4), tiny_style.stripes(2, (16, 16))
    logs = model.evaluate(contents, styles, return_dict=True, verbose=0)
    c, s = scaled(contents), scaled(styles)[[0, 1, 0, 1]]
    seen, wanted = [[array(each) for each in model.encode(x)] for x in (c, s)]
    mean, deviation = seen[1].mean(axis=(1, 2), keepdims=True), seen[1].std(axis=(1, 2), keepdims=True)
    style_mean, style_deviation = wanted[1].mean(axis=(1, 2), keepdims=True), wanted[1].std(axis=(1, 2), keepdims=True)
    target = (seen[1] - mean) / np.sqrt(deviation**2 + 1e-5) * np.sqrt(style_deviation**2 + 1e-5) + style_mean
    drawn = model.encode(model.average(target))
    style = sum(array(losses.style_loss(channel_statistics(a), channel_statistics(b))) for a, b in zip(wanted, drawn))
    expected = {
        "content": array(losses.content_loss(target, drawn[1])).mean(),
        "style": 3.0 * style.mean(),
        "identity": 2.0 * np.mean((array(model.average(seen[1])) - c) ** 2),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-4, err_msg=name)


def test_losses_of_gatys_by_hand_and_a_decoder_of_two_maps():
    decoder = kgen.networks.style_decoder([4, 6], [1, 2], filters=4)
    model = tiny_style.model(decoder=decoder, content_maps=[0, 1])
    model.compile(objective="gatys", identity_weight=0)
    contents, styles = tiny_style.images(2), tiny_style.stripes(2, (16, 16))
    logs = model.evaluate(contents, styles, return_dict=True, verbose=0)
    seen, wanted = [[array(each) for each in model.encode(scaled(x))] for x in (contents, styles)]
    target = [array(AdaptiveInstanceNorm()(a, channel_statistics(b))) for a, b in zip(seen, wanted)]
    drawn = model.encode(model.average(target))
    expected = {
        "content": array(losses.content_loss(seen[1], drawn[1])).mean(),
        "style": sum(array(losses.gram_loss(a, b)).mean() for a, b in zip(wanted, drawn)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-4, err_msg=name)
    # Both maps get the style, and `stylize` does what the losses saw, but with a reflected border.
    bordered = np.pad(scaled(styles), [(0, 0), (8, 8), (8, 8), (0, 0)], mode="symmetric")
    np.testing.assert_array_equal(array(model.bordered(scaled(styles))), bordered)
    fine, coarse = model.encode(bordered)
    inner = [fine[:, 8:-8, 8:-8], coarse[:, 4:-4, 4:-4]]
    np.testing.assert_allclose(
        array(model.statistics({"images": bordered})),
        np.concatenate([array(channel_statistics(each)) for each in inner], axis=-1),
        rtol=1e-5,
    )
    one = model({"images": scaled(contents), "styles": scaled(styles)})
    assert one.shape == (2, 16, 16, 3)


def test_without_identity_loss_as_in_the_paper():
    model = tiny_style.eager(identity_weight=0)
    logs = model.fit(tiny_style.images(6), tiny_style.stripes(), batch_size=6, verbose=0).history
    assert set(logs) == {"loss", "content", "style"}
