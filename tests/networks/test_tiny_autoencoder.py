import numpy as np
import pytest
from keras import ops

from kgen.networks import read_tiny_autoencoder, tiny_decoder, tiny_encoder
from tests.checks.layers import check_saved_model_equal
from tests.checks.networks import check_precision, stir

IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 16, 24, 3)).astype("float32")
SIZES = {"latent_channels": 4, "factor": 4, "filters": 8, "blocks": 2}


@pytest.mark.backends
@pytest.mark.parametrize("normalization", [False, True])
def test_any_size_there_and_back(normalization, tmp_path):
    sizes = {**SIZES, "normalization": normalization}
    encoder, decoder = tiny_encoder(**sizes), tiny_decoder(**sizes)
    for network in (encoder, decoder):
        stir(network)
    latents = ops.convert_to_numpy(encoder(IMAGES))
    assert latents.shape == (2, 4, 6, 4) and decoder(latents).shape == IMAGES.shape
    check_saved_model_equal(encoder, IMAGES, tmp_path / "encoder.keras")
    check_precision(lambda: tiny_encoder(**sizes), encoder, IMAGES)
    check_saved_model_equal(decoder, latents, tmp_path / "decoder.keras")


@pytest.mark.backends
def test_each_size_has_its_own_filters_and_blocks(tmp_path):
    sizes = {"latent_channels": 4, "factor": 4, "filters": (4, 6, 10), "blocks": (1, 2, 3)}
    encoder, decoder = tiny_encoder(**sizes), tiny_decoder(**sizes)
    latents = ops.convert_to_numpy(encoder(IMAGES))
    assert latents.shape == (2, 4, 6, 4) and decoder(latents).shape == IMAGES.shape
    widths = [
        [layer.output.shape[-1] for layer in network.layers if layer.name.endswith("_add")]
        for network in (encoder, decoder)
    ]
    assert widths[0] == [4, 6, 6, 10, 10, 10] and widths[1] == widths[0][::-1]
    check_saved_model_equal(decoder, latents, tmp_path / "decoder.keras")
    # One number is a size's where all are alike, with one block at the images'.
    assert (
        tiny_encoder(**SIZES).count_params()
        == tiny_encoder(**{**SIZES, "filters": [8] * 3, "blocks": [1, 2, 2]}).count_params()
    )


def test_wrong_sizes():
    with pytest.raises(
        ValueError, match=r"tiny_encoder: filters must be an integer, or 4, one for each size; got \(8, 8\)"
    ):
        tiny_encoder(filters=(8, 8))
    with pytest.raises(ValueError, match="tiny_decoder: blocks must be an integer of at least 1; got 0"):
        tiny_decoder(blocks=(1, 0, 1, 1))
    with pytest.raises(ValueError, match="tiny_encoder: factor must be one of 1, 2, 4, 8, 16, 32; got 6"):
        tiny_encoder(factor=6)
    with pytest.raises(ValueError, match="tiny_decoder: latent_channels must be an integer of at least 1; got 0"):
        tiny_decoder(latent_channels=0)


# === Published files ===
def torch_networks(torch, normalization):
    """A tiny autoencoder of these sizes as its author writes it, with weights of chance."""
    nn = torch.nn
    wide = SIZES["filters"]

    class Limit(nn.Module):
        def forward(self, x):
            return 3 * torch.tanh(x / 3)

    class Block(nn.Module):
        def __init__(self, pooled):
            super().__init__()
            self.conv = nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), conv())
            if pooled:
                branch = nn.Conv2d(wide, 4 * wide, 1, bias=False), nn.GroupNorm(4, 4 * wide), nn.ReLU()
                self.pool = nn.Sequential(*branch, nn.Conv2d(4 * wide, wide, 1, bias=False))

        def forward(self, x):
            x = x + self.pool(x) if hasattr(self, "pool") else x
            return torch.relu(self.conv(x) + x)

    def conv(takes=wide, gives=wide, **options):
        return nn.Conv2d(takes, gives, 3, padding=1, **options)

    def blocks(pooled=False):
        return [Block(pooled) for _ in range(SIZES["blocks"])]

    down = {"stride": 2, "bias": False}
    encoder = [conv(3), Block(False), conv(**down), *blocks(), conv(**down), *blocks(normalization), conv(wide, 4)]
    decoder = [Limit(), conv(4), nn.ReLU(), *blocks(normalization)]
    for tail in (blocks(), [Block(False), conv(wide, 3)]):
        decoder += [nn.Upsample(scale_factor=2), conv(bias=False), *tail]
    torch.manual_seed(0)
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


@pytest.mark.parametrize("normalization", [False, True])
@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_published_files_give_what_torch_computes(normalization, form, tmp_path):
    torch = pytest.importorskip("torch")
    networks = torch_networks(torch, normalization)
    files = [tmp_path / f"{name}.{form}" for name in ("encoder", "decoder")]
    for file, network in zip(files, networks):
        if form == "pth":
            torch.save(network.state_dict(), file)
        else:
            # As diffusers names them, and in the order of the alphabet.
            save_file = pytest.importorskip("safetensors.torch").save_file
            save_file({f"layers.{name}": tensor for name, tensor in network.state_dict().items()}, file)
    encoder, decoder = read_tiny_autoencoder(*files)
    with torch.no_grad():
        latents = networks[0](torch.tensor(0.5 * IMAGES + 0.5).permute(0, 3, 1, 2))
        images = 2 * networks[1](latents).permute(0, 2, 3, 1).numpy() - 1
    latents = latents.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(ops.convert_to_numpy(encoder(IMAGES)), latents, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(decoder(latents)), images, atol=1e-5)


def test_other_files(tmp_path):
    torch = pytest.importorskip("torch")
    encoder, decoder = torch_networks(torch, False)
    good = tmp_path / "encoder.pth"
    torch.save(encoder.state_dict(), good)

    def refused(tensors, match):
        torch.save(tensors, tmp_path / "other.pth")
        with pytest.raises(ValueError, match=f"read_tiny_autoencoder: .*other.pth {match}"):
            read_tiny_autoencoder(good, tmp_path / "other.pth")

    refused({"fc.weight": torch.zeros(2, 2)}, "does not hold a network like TAESD's: it has 'fc.weight'")
    refused({"0.weight": torch.zeros(2, 2, 3, 3)}, "does not hold a network like TAESD's")
    tensors = decoder.state_dict()
    refused({**tensors, "3.conv.2.bias": torch.zeros(7)}, r"has no tensors of shapes .* for block_1_conv_2")
    refused({**tensors, "3.pool.9.weight": torch.zeros(7)}, r"has .*")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_tiny_autoencoder(good, tmp_path / "none.safetensors")
