import keras
import numpy as np
import pytest

from kgen.visualization import plot_history
from tests.models import tiny


def curves(figure):
    """From the title of each panel to its curves: colour, style, x and y."""
    shown = {}
    for axes in figure.axes:
        lines = [line for line in axes.lines if len(line.get_xdata())]
        shown[axes.get_title()] = [
            (line.get_color(), line.get_linestyle(), list(line.get_xdata()), list(line.get_ydata())) for line in lines
        ]
    return shown


def legend(axes):
    return [] if axes.get_legend() is None else [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_gan_that_was_trained():
    gan, images = tiny.gan(), tiny.pictures()
    gan.compile()
    history = gan.fit(images, batch_size=8, epochs=2, verbose=0, validation_data=images)
    figure = plot_history(history)
    shown = curves(figure)
    assert list(shown)[0] == "losses" and "discriminator accuracy" in shown
    logged = history.history
    assert shown["losses"] == [
        ("C0", "-", [1, 2], logged["discriminator_loss"]),
        ("C0", "--", [1, 2], logged["val_discriminator_loss"]),
        ("C1", "-", [1, 2], logged["generator_loss"]),
        ("C1", "--", [1, 2], logged["val_generator_loss"]),
    ]
    assert legend(figure.axes[0]) == ["discriminator", "generator", "validation"]
    assert shown["discriminator accuracy"][1] == ("C0", "--", [1, 2], logged["val_discriminator_accuracy"])
    assert figure._repr_png_()


def test_a_dict_of_one_loss():
    figure = plot_history({"loss": [3.0, 2.0], "val_loss": [4.0, 1.0], "kl": [1.0, 1.0]})
    shown = curves(figure)
    assert shown == {
        "loss": [("C0", "-", [1, 2], [3.0, 2.0]), ("C0", "--", [1, 2], [4.0, 1.0])],
        "kl": [("C0", "-", [1, 2], [1.0, 1.0])],
    }
    assert legend(figure.axes[0]) == ["training", "validation"] and legend(figure.axes[1]) == []


def test_losses_of_other_magnitudes_have_panels_of_their_own():
    shown = curves(plot_history({"autoencoder_loss": [200.0], "discriminator_loss": [2.0]}))
    assert list(shown) == ["autoencoder loss", "discriminator loss"]
    assert list(curves(plot_history({"autoencoder_loss": [20.0], "discriminator_loss": [2.0]}))) == ["losses"]


def test_a_run_that_goes_on_and_a_number_that_is_not_always_there():
    history = keras.callbacks.History()
    history.epoch, history.history = [4, 5, 6, 7], {"loss": [1.0, 2.0, 3.0, 4.0], "distance": [9.0, 8.0]}
    shown = curves(plot_history(history))
    assert shown["loss"][0][2] == [5, 6, 7, 8] and shown["distance"][0][2] == [6, 8]


def test_what_is_not_finite_is_a_gap():
    values = curves(plot_history({"loss": [1.0, float("inf"), float("nan"), 2.0]}))["loss"][0][3]
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan, 2.0])
    assert plot_history({"a_loss": [float("nan")], "b_loss": [1.0]})._repr_png_()


def test_validation_alone():
    assert curves(plot_history({"val_loss": [1.0]})) == {"loss": [("C0", "--", [1], [1.0])]}


@pytest.mark.parametrize(
    ("history", "error", "said"),
    [
        ([1, 2], TypeError, "history must be what fit returns, .*; got list"),
        (None, TypeError, "got NoneType"),
        ({}, ValueError, "the history is empty"),
        ({"loss": []}, ValueError, "the history is empty"),
        ({"loss": 1.0}, ValueError, "'loss' must be a list of numbers, one per epoch; got 1.0"),
        ({"loss": ["low"]}, ValueError, r"'loss' must be a list of numbers, one per epoch; got \['low'\]"),
    ],
)
def test_bad_input(history, error, said):
    with pytest.raises(error, match=f"plot_history: .*{said}"):
        plot_history(history)
