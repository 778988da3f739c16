"""What every layer owes, whatever it computes."""

import json
import pathlib
import tempfile

import keras
import numpy as np

from kgen.layers.image_filter import ImageFilter
from kgen.serializable import constructor_arguments


def check_layer(cls, init_kwargs, inputs, expected_output_shape, call_kwargs=None, stochastic=False):
    """Checks a layer's config, shapes, saving, mixed precision, gradients, batches and compilation.

    Args:
        cls: the layer class.
        init_kwargs: its constructor's arguments, or a function that makes them anew (where one is itself a layer).
        inputs: dict from the names of tensor arguments of `call`, in order, to arrays or to shapes with the batch (of
            which standard normal noise is made).
        expected_output_shape: shape of the output for these inputs, batch included.
        call_kwargs: further arguments of `call`, no tensors.
        stochastic: outputs are random, so that two calls are not compared.
    """
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    inputs = {
        name: rng.normal(size=value).astype("float32") if isinstance(value, tuple) else np.asarray(value)
        for name, value in inputs.items()
    }
    call_kwargs = call_kwargs or {}

    def make():
        return cls(**(init_kwargs() if callable(init_kwargs) else init_kwargs))

    _check_config(make)
    layer, model = _model_of(make(), inputs, call_kwargs)
    # Gates and projections that begin at zero would hide whatever stands behind them.
    for weight in model.trainable_weights:
        weight.assign(keras.ops.convert_to_numpy(weight) + 0.1 * rng.normal(size=weight.shape))
    _check_shapes(layer, model, inputs, call_kwargs, expected_output_shape)
    if not stochastic:
        with tempfile.TemporaryDirectory() as directory:
            check_saved_model_equal(model, inputs, pathlib.Path(directory) / "model.keras")
        _check_batch_independence(model, inputs)
    _check_compiled(model, inputs, expected_output_shape, stochastic)
    _check_mixed_precision(make, model, inputs, call_kwargs, stochastic)
    _check_gradients(model, inputs, expected_output_shape)


def check_saved_model_equal(model, inputs, path):
    """Saves a model to a `.keras` file and checks that what is loaded has its class and gives its outputs.

    Args:
        model: a built Keras model.
        inputs: what it is called with.
        path: a `pathlib.Path` of the file.

    Returns:
        The loaded model.
    """
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is type(model)
    for before, after in zip(outputs_of(model, inputs), outputs_of(loaded, inputs), strict=True):
        np.testing.assert_array_equal(before, after)
    return loaded


def outputs_of(model, inputs):
    """All outputs of a call as a flat list of float32 arrays."""
    # Eager JAX compiles every operation by itself, which takes ten times longer than the whole at once.
    outputs = model.predict_on_batch(inputs) if keras.backend.backend() == "jax" else model(inputs)
    arrays = [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]
    return [array.astype("float32") for array in arrays]


def _model_of(layer, inputs, call_kwargs):
    """The layer within a functional model of unknown batch, which takes a dict of its inputs."""
    symbols = {name: keras.Input(a.shape[1:], dtype=a.dtype.name, name=name) for name, a in inputs.items()}
    first, *rest = symbols
    outputs = layer(symbols[first], **{name: symbols[name] for name in rest}, **call_kwargs)
    return layer, keras.Model(symbols, outputs)


def _check_config(make):
    layer = make()
    cls = type(layer)
    config = layer.get_config()
    arguments = set(constructor_arguments(cls))
    assert arguments <= set(config), f"get_config of {cls.__name__} lacks {arguments - set(config)}"
    assert all(hasattr(layer, argument) for argument in arguments)

    text = json.dumps(keras.saving.serialize_keras_object(layer), sort_keys=True)
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(again) is cls
    assert json.dumps(keras.saving.serialize_keras_object(again), sort_keys=True) == text
    assert keras.saving.get_registered_name(cls) == f"kgen>{cls.__name__}"


def _check_shapes(layer, model, inputs, call_kwargs, expected):
    assert tuple(model.output_shape) == (None, *expected[1:])
    assert outputs_of(model, inputs)[0].shape == tuple(expected)
    first, *rest = inputs
    symbols = {name: keras.KerasTensor(a.shape, dtype=a.dtype.name) for name, a in inputs.items()}
    spec = layer.compute_output_spec(symbols[first], **{name: symbols[name] for name in rest}, **call_kwargs)
    assert tuple(spec.shape) == tuple(expected)


def _check_compiled(model, inputs, expected, stochastic):
    """The same compiled as eager: XLA on TensorFlow and JAX; torch has no compiler that starts quickly."""
    model.compile(jit_compile=keras.backend.backend() != "torch")
    compiled = model.predict_on_batch(inputs)
    assert compiled.shape == tuple(expected)
    if not stochastic:
        np.testing.assert_allclose(compiled, outputs_of(model, inputs)[0], rtol=1e-4, atol=1e-4)


def _check_mixed_precision(make, model, inputs, call_kwargs, stochastic):
    exact = outputs_of(model, inputs)[0]
    for compute_dtype in ("bfloat16", "float16"):
        before = keras.config.dtype_policy()
        try:
            keras.config.set_dtype_policy(f"mixed_{compute_dtype}")
            _, mixed = _model_of(make(), inputs, call_kwargs)
        finally:
            keras.config.set_dtype_policy(before)
        assert all(weight.dtype == "float32" for weight in mixed.weights if "seed" not in weight.path)
        mixed.set_weights(model.get_weights())
        # Filters of finished images do not round them.
        filters = any(isinstance(layer, ImageFilter) for layer in mixed.layers)
        assert mixed.outputs[0].dtype == ("float32" if filters else compute_dtype)
        rounded = outputs_of(mixed, inputs)[0]
        assert np.all(np.isfinite(rounded))
        if not stochastic:
            assert np.max(np.abs(rounded - exact)) < 0.05 * np.max(np.abs(exact))


def _check_batch_independence(model, inputs):
    together = outputs_of(model, inputs)[0]
    for row in range(len(together)):
        alone = outputs_of(model, {name: array[row : row + 1] for name, array in inputs.items()})[0]
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-4, atol=1e-5)


def _check_gradients(model, inputs, expected):
    """One step of plain gradient descent moves every trainable weight, and nothing becomes infinite."""
    if not model.trainable_weights:
        return
    target = np.random.default_rng(1).normal(size=expected).astype("float32")
    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    model.fit(inputs, target, batch_size=len(target), epochs=1, verbose=0)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        new = keras.ops.convert_to_numpy(weight)
        assert np.all(np.isfinite(new)), f"{weight.path} is no longer finite"
        assert np.max(np.abs(new - old)) > 0, f"no gradient reaches {weight.path}"
