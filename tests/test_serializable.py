import keras
import numpy as np
import pytest

from kgen.serializable import constructor_arguments, serializable


@serializable
class Scaled(keras.layers.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor


@serializable
class ScaledTwice(Scaled):
    def __init__(self, sides, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.sides = tuple(sides)
        self.inner = inner


@serializable
class Weight:
    def __init__(self, weight=1.0):
        self.weight = weight


def test_arguments_of_base_classes_count_where_they_are_handed_on():
    assert constructor_arguments(ScaledTwice) == ["sides", "inner", "factor"]
    assert constructor_arguments(Weight) == ["weight"]


def test_config_holds_the_arguments_and_makes_the_object_again():
    layer = ScaledTwice((3, 4), inner=keras.layers.Dense(2), factor=2.0, name="twice", dtype="float16")
    config = layer.get_config()
    assert (config["sides"], config["factor"], config["name"]) == ([3, 4], 2.0, "twice")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.sides, copy.factor, copy.name, copy.compute_dtype) == ((3, 4), 2.0, "twice", "float16")
    assert isinstance(copy.inner, keras.layers.Dense) and copy.inner.units == 2


def test_plain_objects_travel_too():
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Weight(3.0)))
    assert copy.weight == 3.0


def test_a_class_keeps_a_config_of_its_own():
    @serializable
    class Own(Weight):
        def get_config(self):
            return {"weight": 2 * self.weight}

    assert Own.from_config(Own(3.0).get_config()).weight == 6.0


def test_a_config_of_its_own_may_add_to_that_of_its_base():
    class Cube(ScaledTwice):
        def __init__(self, side, **kwargs):
            super().__init__(sides=(side, side), **kwargs)

        def get_config(self):
            config = {**super().get_config(), "side": self.sides[0]}
            del config["sides"]
            return config

    @serializable
    class Colored(Cube):
        def __init__(self, color, **kwargs):
            super().__init__(**kwargs)
            self.color = color

        def get_config(self):
            return {**super().get_config(), "color": self.color}

    config = Colored("red", side=3, factor=2.0, name="cube").get_config()
    copy = Colored.from_config(config)
    assert "sides" not in config
    assert (copy.color, copy.sides, copy.inner, copy.factor, copy.name) == ("red", (3, 3), None, 2.0, "cube")


def test_a_subclass_without_the_decorator_has_the_config_of_its_own_arguments():
    class Tripled(Scaled):
        def __init__(self, times=3, **kwargs):
            super().__init__(**kwargs)
            self.times = times

    assert (Tripled(factor=2.0).get_config()["times"], Tripled.from_config({"times": 4}).times) == (3, 4)


def test_a_subclass_may_add_to_the_config_of_its_base():
    @keras.saving.register_keras_serializable(package="theirs")
    class Shifted(Scaled):
        def __init__(self, by, **kwargs):
            super().__init__(**kwargs)
            self.by = by

        def get_config(self):
            return {**super().get_config(), "by": self.by}

    copy = Shifted.from_config(Shifted(2.0, factor=3.0).get_config())
    assert (copy.by, copy.factor) == (2.0, 3.0)


def test_layers_are_saved_and_loaded_with_a_model(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), Scaled(3.0)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].factor == 3.0
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_an_argument_that_is_no_attribute_is_an_error():
    @serializable
    class Forgetful:
        def __init__(self, size):
            pass

    with pytest.raises(AttributeError, match="size"):
        Forgetful(3).get_config()
