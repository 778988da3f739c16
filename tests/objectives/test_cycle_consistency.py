import keras
import numpy as np
import pytest

from tests.models.test_cycle_gan import eager, model, pairs


@pytest.mark.backends
def test_losses_by_hand():
    made = model()
    for network in (made.generator, made.inverse_generator, made.average.network, made.inverse_average.network):
        random = np.random.default_rng(len(network.name) + network.count_params())
        network.set_weights([0.05 * random.normal(size=w.shape) for w in network.get_weights()])
    made.compile(cycle_weight=3.0, identity_weight=2.0)
    x, y = pairs(4)
    logs = made.evaluate(x, y[:2], return_dict=True, verbose=0)
    x, y = ((a / 127.5 - 1.0).astype("float32") for a in (x, y[[0, 1, 0, 1]]))

    def by(network):
        return lambda images: 2.0 * keras.ops.convert_to_numpy(network(0.5 * images + 0.5)) - 1.0

    there, back = by(made.average), by(made.inverse_average)
    judge, inverse = (
        lambda images, network=network: keras.ops.convert_to_numpy(network(images))[:, 0]
        for network in (made.discriminator, made.inverse_discriminator)
    )
    cycle = np.abs(back(there(x)) - x).mean() + np.abs(there(back(y)) - y).mean()
    identity = np.abs(there(y) - y).mean() + np.abs(back(x) - x).mean()
    expected = {
        "cycle": 3.0 * cycle,
        "identity": 2.0 * identity,
        "adversarial": 0.5 * (np.mean((judge(there(x)) - 1) ** 2) + np.mean((inverse(back(y)) - 1) ** 2)),
    }
    real, fake = (judge(y), inverse(x)), (judge(there(x)), inverse(back(y)))
    expected["discriminator_loss"] = 0.5 * sum(np.mean((r - 1) ** 2) + np.mean(f**2) for r, f in zip(real, fake))
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-4, err_msg=name)
    assert cycle > 0.1 and identity > 0.1


def test_each_phase_moves_its_own_networks():
    made = eager(identity_weight=0)
    names = ("generator", "inverse_generator", "discriminator", "inverse_discriminator")
    before = {name: getattr(made, name).get_weights() for name in names}
    made.optimizer.optimizers[1].learning_rate = 0.0
    logs = made.fit(*pairs(), batch_size=8, verbose=0).history
    assert "identity" not in logs
    moved = {
        name: any(np.any(a != b) for a, b in zip(getattr(made, name).get_weights(), before[name])) for name in names
    }
    assert moved == {
        "generator": False,
        "inverse_generator": False,
        "discriminator": True,
        "inverse_discriminator": True,
    }
