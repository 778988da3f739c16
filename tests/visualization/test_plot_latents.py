import numpy as np
import pytest
from matplotlib.offsetbox import AnnotationBbox

from kgen.visualization import plot_latents
from kgen.visualization.plot_latents import _with_room

RANDOM = np.random.default_rng(0)


def drawn(figure):
    """The points of each colour, one after the other."""
    return np.concatenate([points.get_offsets() for points in figure.axes[0].collections])


def images_of(figure):
    return [each for each in figure.axes[0].artists if isinstance(each, AnnotationBbox)]


def test_two_dimensions_stay_as_they_are():
    points = RANDOM.normal(size=(5, 2))
    figure = plot_latents(points)
    np.testing.assert_array_equal(drawn(figure), points)
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("latent 0", "latent 1")
    # One scale, and every point within.
    spans = np.array([np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())])
    assert spans[0] == pytest.approx(spans[1]) and (np.ptp(points, axis=0) < spans).all() and axes.get_aspect() == 1.0
    assert figure._repr_png_()


def test_of_more_the_principal_components():
    # Two directions of 3 and 1 deviations in 12 dimensions, off the origin, and hardly anything in the others.
    plane = RANDOM.normal(size=(400, 2)) * [3.0, 1.0]
    directions = np.linalg.qr(RANDOM.normal(size=(12, 2)))[0].T
    latents = plane @ directions + 5.0 + 1e-3 * RANDOM.normal(size=(400, 12))
    figure = plot_latents(latents.reshape(400, 3, 4))
    found, centred = drawn(figure), plane - plane.mean(axis=0)
    np.testing.assert_allclose(np.abs(np.corrcoef(found.T, centred.T)[:2, 2:]), np.eye(2), atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(centred, axis=1), atol=0.01)
    assert figure.axes[0].get_xlabel() == "principal component 1, 90% of the variance"
    assert figure.axes[0].get_ylabel() == "principal component 2, 10% of the variance"
    np.testing.assert_array_equal(drawn(plot_latents(latents)), found)


def test_latents_that_are_all_the_same():
    np.testing.assert_allclose(drawn(plot_latents(np.ones((4, 8)))), 0.0, atol=1e-12)


@pytest.mark.parametrize("labels", [["cat", "dog", "cat", "emu"], np.array([3, 7, 3, 9])])
def test_labels_are_colours_with_a_legend(labels):
    points = RANDOM.normal(size=(4, 2))
    figure = plot_latents(points, labels)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == sorted({str(label) for label in labels})
    groups = figure.axes[0].collections
    np.testing.assert_array_equal(groups[0].get_offsets(), points[[0, 2]])
    assert len({tuple(group.get_facecolor()[0]) for group in groups}) == 3


@pytest.mark.parametrize("labels", [np.linspace(0, 1, 30), np.arange(30)])
def test_numbers_are_a_scale(labels):
    figure = plot_latents(RANDOM.normal(size=(30, 2)), labels)
    assert not figure.legends and len(figure.axes) == 2
    np.testing.assert_array_equal(figure.axes[0].collections[0].get_array(), labels)


def test_images_where_there_is_room():
    points = np.array([[0.0, 0.0], [0.001, 0.0], [1.0, 1.0]])
    images = RANDOM.integers(0, 256, (3, 8, 6, 3), "uint8")
    shown = images_of(plot_latents(points, [0, 0, 1], images))
    # The second would cover the first.
    assert [tuple(each.xy) for each in shown] == [(0.0, 0.0), (1.0, 1.0)]
    np.testing.assert_array_equal(shown[1].offsetbox.get_data(), images[2])
    assert shown[0].patch.get_edgecolor() != shown[1].patch.get_edgecolor()
    grey = images_of(plot_latents(points, images=images[..., :1]))
    np.testing.assert_array_equal(grey[0].offsetbox.get_data(), images[0, ..., :1].repeat(3, axis=-1))


def test_room():
    places = np.array([[0.0, 0.0], [11.0, 5.0], [15.0, 5.0], [0.0, 25.0], [-9.0, 9.0]])
    assert _with_room(places, np.array([10.0, 20.0])) == [0, 2, 3]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"latents": np.zeros(4)}, ValueError, r"latents must have shape \(N, ...\), .*; got \(4,\)"),
        ({"latents": np.zeros((1, 4))}, ValueError, r"at least 2 rows of 2 numbers; got \(1, 4\)"),
        ({"latents": np.zeros((4, 1))}, ValueError, r"at least 2 rows of 2 numbers; got \(4, 1\)"),
        ({"latents": [["a", "b"]] * 3}, ValueError, "latents must be an array of numbers"),
        ({"latents": np.full((3, 2), np.nan)}, ValueError, "latents must be finite"),
        ({"labels": [1, 2]}, ValueError, r"give a label for each of the 30 latents; got shape \(2,\)"),
        (
            {"labels": [str(i) for i in range(30)]},
            ValueError,
            "labels have 30 different values, but there are only 20 colours",
        ),
        ({"images": np.zeros((2, 4, 4, 3), "uint8")}, ValueError, "give an image for each of the 30 latents; got 2"),
        ({"images": np.zeros((30, 4, 4, 3))}, TypeError, "images must be a uint8 array .*; got float64"),
    ],
)
def test_bad_input(given, error, said):
    with pytest.raises(error, match=f"plot_latents: .*{said}"):
        plot_latents(**{"latents": np.zeros((30, 2)), **given})
