import threading

import keras
import numpy as np
import pytest
from keras import ops

from kgen.training import SeedGenerator, backend

pytestmark = pytest.mark.backends


def in_step(function, *variables):
    """What `function()` gives inside a step, as numpy arrays; the variables keep what it assigns."""
    if keras.backend.backend() == "jax":
        state = ([v.value for v in variables],)
        result, (values,) = backend.run_step(lambda data: function(), [list(variables)], (state, None))
        for variable, value in zip(variables, values):
            variable.assign(value)
    else:
        result = backend.run_step(lambda data: function(), [list(variables)], (None,))
    return keras.tree.map_structure(ops.convert_to_numpy, result)


def test_value_and_grad():
    w, unused = keras.Variable([1.0, 2.0, 3.0]), keras.Variable([[1.0, 1.0]])
    count = keras.Variable(0.0, trainable=False)

    def loss():
        count.assign(count + 1.0)
        return ops.sum(w**3), {"double": 2.0 * w}

    (value, auxiliary), gradients = in_step(lambda: backend.value_and_grad(loss, [w, unused]), w, unused, count)
    assert value == 36.0
    np.testing.assert_array_equal(auxiliary["double"], [2.0, 4.0, 6.0])
    np.testing.assert_allclose(gradients[0], [3.0, 12.0, 27.0])
    np.testing.assert_array_equal(gradients[1], [[0.0, 0.0]])
    assert float(count) == 1.0
    np.testing.assert_array_equal(ops.convert_to_numpy(w), [1.0, 2.0, 3.0])


def test_shared_forward():
    """One run of the function, for two losses of what it gives; the gradients are those of the composition."""
    w, other, unused = keras.Variable([1.0, 2.0]), keras.Variable([3.0, 4.0]), keras.Variable([1.0])
    runs = keras.Variable(0.0, trainable=False)

    def forward():
        runs.assign(runs + 1.0)
        return {"cube": w**3, "list": [ops.sum(w) ** 2]}, {"mask": ops.array([True, False])}

    def loss(outputs):
        return ops.sum(other * outputs["cube"]) + outputs["list"][0], 2.0 * outputs["cube"]

    def step():
        (outputs, beside), value_and_grad = backend.shared_forward(forward, [w, unused])
        first = backend.value_and_grad(lambda: loss(outputs), [w, other])
        # As an optimizer does between two phases.
        other.assign(other + 1.0)
        return first, value_and_grad(loss), beside

    ((_, _), first), ((value, parts), second), beside = in_step(step, w, other, unused, runs)
    np.testing.assert_array_equal(first[0], [0.0, 0.0])
    np.testing.assert_allclose(first[1], [1.0, 8.0])
    assert value == 4 * 1 + 5 * 8 + 9 and float(runs) == 1.0
    np.testing.assert_allclose(parts, [2.0, 16.0])
    np.testing.assert_allclose(second[0], [4 * 3 + 6, 5 * 12 + 6])
    np.testing.assert_array_equal(second[1], [0.0])
    np.testing.assert_array_equal(beside["mask"], [True, False])


def test_input_gradient_and_its_gradient():
    w = keras.Variable([0.5, 2.0])
    x = np.array([[1.0, 2.0], [3.0, -1.0]], "float32")
    found = {}

    def penalty():
        points = ops.convert_to_tensor(x)
        # Of the sum of w x^3 over a sample: 3 w x^2.
        gradient = backend.input_gradient(lambda points: ops.sum(w * points**3, axis=-1), points)
        return ops.sum(gradient**2), gradient

    (found["penalty"], gradient), (second,) = in_step(lambda: backend.value_and_grad(penalty, [w]), w)
    weights = np.array([0.5, 2.0])
    np.testing.assert_allclose(gradient, 3 * weights * x**2, rtol=1e-6)
    np.testing.assert_allclose(found["penalty"], np.sum(9 * weights**2 * x**4), rtol=1e-6)
    np.testing.assert_allclose(second, np.sum(18 * weights * x**4, axis=0), rtol=1e-6)


def test_no_gradient_flows_on_from_an_input_gradient():
    w = keras.Variable([2.0])

    def penalty():
        # 3 x^2 at x = w, taken as a constant; times w.
        gradient = backend.input_gradient(lambda points: points[:, 0] ** 3, ops.reshape(w * 1.0, (1, 1)))
        return ops.sum(gradient) * w[0], ()

    (value, _), (gradient,) = in_step(lambda: backend.value_and_grad(penalty, [w]), w)
    assert value == 24.0
    np.testing.assert_allclose(gradient, [12.0])


def test_what_does_not_depend_on_the_input_has_no_slope():
    x = ops.ones((2, 3))
    slopes = in_step(lambda: backend.input_gradient(lambda x: ops.stop_gradient(ops.sum(x, axis=-1)), x))
    np.testing.assert_array_equal(slopes, np.zeros((2, 3)))


def test_state_changed_inside_an_input_gradient_is_kept():
    seeds, w = SeedGenerator(0), keras.Variable([1.0, 1.0])
    before = ops.convert_to_numpy(seeds.state)

    def gradient():
        def noisy(points):
            return ops.sum(points * w * keras.random.normal((2,), seed=seeds), axis=-1)

        return [backend.input_gradient(noisy, ops.ones((1, 2))) for _ in range(2)]

    first, second = in_step(gradient, seeds.state, w)
    assert np.all(first != second)
    assert np.any(ops.convert_to_numpy(seeds.state) != before)


@pytest.mark.parametrize("condition", [True, False])
def test_run_if(condition):
    a, b = keras.Variable([1.0, 2.0]), keras.Variable(3.0)

    def change():
        a.assign(a * 10.0)
        b.assign(ops.sum(a))

    def step():
        backend.run_if(ops.equal(ops.convert_to_tensor(1), 1 if condition else 2), change)
        return b + 1.0

    result = in_step(step, a, b)
    np.testing.assert_array_equal(ops.convert_to_numpy(a), [10.0, 20.0] if condition else [1.0, 2.0])
    assert result == (31.0 if condition else 4.0)


def test_apply_gradients():
    w, bias = keras.Variable([1.0, 2.0]), keras.Variable(1.0)
    optimizer = keras.optimizers.SGD(0.5, momentum=0.5)
    optimizer.build([w, bias])

    def step():
        gradients = [ops.convert_to_tensor([2.0, 4.0]), ops.convert_to_tensor(1.0)]
        backend.apply_gradients(optimizer, gradients, [w, bias])
        return ()

    for _ in range(2):
        in_step(step, w, bias, *optimizer.variables)
    # The second step is 1.5 times the first.
    np.testing.assert_allclose(ops.convert_to_numpy(w), [1.0 - 2.5, 2.0 - 5.0])
    np.testing.assert_allclose(float(bias), 1.0 - 1.25)
    assert int(optimizer.iterations) == 2


def test_batch_mean_and_replica_on_one_device():
    assert float(backend.batch_mean(ops.convert_to_tensor([1.0, 2.0, 6.0]))) == 3.0
    assert backend.replica_index() == 0


def test_each_thread_traces_its_own_step():
    if keras.backend.backend() != "jax":
        pytest.skip("only JAX keeps the steps that are traced")
    from kgen.training.backend import jax

    inside, go_on = threading.Event(), threading.Event()

    def other():
        with jax._stateless([], []):
            inside.set()
            go_on.wait(10)

    thread, variable = threading.Thread(target=other), keras.Variable(1.0)
    with jax._stateless([variable], [variable.value]):
        thread.start()
        inside.wait(10)
        traced = jax._pure(lambda: None)[0]
    go_on.set()
    thread.join()
    assert traced == [variable] and jax._threaded.steps == []


class InPlace(keras.layers.Layer):
    """Writes its weight whenever it is called."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 2), initializer="ones")

    def call(self, inputs):
        self.kernel.assign(0.5 * self.kernel)
        return ops.matmul(inputs, self.kernel)


def test_a_layer_that_writes_its_weights_in_place():
    if keras.backend.backend() != "torch":
        pytest.skip("the other backends have values, not memory")
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), InPlace()])

    def loss():
        return ops.sum(network(ops.ones((2, 3)))) + ops.sum(network(ops.zeros((2, 3)))), None

    with pytest.raises(RuntimeError, match="kgen.layers.SpectralNormalization does not"):
        backend.value_and_grad(loss, network.trainable_variables)


def test_a_step_that_fails_leaves_nothing_behind():
    w = keras.Variable([3.0])

    def fail():
        raise KeyError("on purpose")

    with pytest.raises(KeyError, match="on purpose"):
        in_step(fail, keras.Variable(1.0))
    _, (gradient,) = in_step(lambda: backend.value_and_grad(lambda: (ops.sum(w**2), ()), [w]), w)
    np.testing.assert_allclose(gradient, [6.0])


def test_compiled_functions_give_rows_in_any_structure():
    scale = keras.Variable(2.0)
    compiled = backend.compiled(
        lambda inputs: {"twice": scale * inputs["x"], "sums": [ops.sum(inputs["x"], axis=1)]}, lambda: [scale], axes=2
    )
    for rows, columns in ((3, 2), (1, 4), (5, 2)):
        x = np.random.default_rng(0).normal(size=(rows, columns)).astype("float32")
        found = compiled({"x": x})
        np.testing.assert_allclose(found["twice"], 2.0 * x, rtol=1e-6)
        np.testing.assert_allclose(found["sums"][0], x.sum(axis=1), rtol=1e-5, atol=1e-6)


def test_lengths_of_the_first_axes_make_no_other_graph(tensorflow_backend):
    traced = []

    def identity(inputs):
        traced.append(1)
        return inputs["x"]

    for axes, traces in ((1, 2), (2, 1)):
        before = len(traced)
        compiled = backend.compiled(identity, list, axes)
        for rows, columns in ((3, 2), (1, 4), (5, 2), (3, 2)):
            assert compiled({"x": np.ones((rows, columns), "float32")}).shape == (rows, columns)
        assert len(traced) - before == traces


def test_a_compiled_gradient_follows_its_variables():
    w = keras.Variable([1.0, 2.0])

    def slope(inputs):
        return backend.input_gradient(lambda points: ops.sum(w * points**2, axis=-1), inputs["points"])

    compiled = backend.compiled(slope, lambda: [w])
    points = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0]], "float32")
    for weights in ([1.0, 2.0], [-3.0, 0.5]):
        w.assign(weights)
        np.testing.assert_allclose(compiled({"points": points}), 2 * np.array(weights) * points)
