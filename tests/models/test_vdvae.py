"""VDVAE against the original implementation's numbers."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from scipy import stats

from neural_recon.core.errors import InputError
from neural_recon.models.logistic_mixture import log_likelihood
from neural_recon.models.vdvae import VDVAE, gaussian_kl
from neural_recon.models.vdvae_blocks import parse_blocks


@pytest.fixture(scope="module")
def numbers(reference):
    with np.load(reference / "vdvae_tiny.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def hparams(numbers):
    return json.loads(str(numbers["hparams"]))


@pytest.fixture(scope="module")
def tensors(numbers):
    names = [name for name in numbers if name.startswith("weight/")]
    return {name.removeprefix("weight/"): torch.from_numpy(numbers[name]) for name in names}


@pytest.fixture(scope="module")
def model(hparams, tensors):
    model = VDVAE(hparams)
    model.load_state_dict(tensors)
    return model.eval()


@pytest.fixture(scope="module")
def latents(numbers):
    names = sorted(name for name in numbers if name.startswith("z/"))
    return np.concatenate([numbers[name].reshape(len(numbers[name]), -1) for name in names], axis=1)


def given(numbers, hparams) -> int:
    return sum(numbers[f"z/{layer:02d}"][0].size for layer in range(hparams["latents_given"]))


def seeds(*numbers):
    return [torch.Generator().manual_seed(number) for number in numbers]


def assert_close(found, expected, tolerance=1e-4):
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_names_and_shapes_are_those_of_the_published_model(reference):
    published = json.loads((reference / "vdvae_imagenet64_state_dict.json").read_text())
    with torch.device("meta"):
        model = VDVAE(published["hparams"])
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes == published["state_dict"]
    assert len(shapes) == 2482
    assert sum(np.prod(size) for size in model.latent_sizes[:31]) == 91168


def test_layer_strings():
    assert parse_blocks("16x2,16d2,8m4,1") == [(16, None), (16, None), (16, 2), (8, 4), (1, None)]


def test_encode_gives_the_stored_posterior_means(model, numbers, latents):
    assert_close(model.encode(numbers["image"], 10), latents)


def test_encoding_fewer_layers_gives_the_head_of_the_latents_and_runs_no_other_block(model, numbers, latents):
    ran = []
    hooks = [
        block.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
        for layer, block in enumerate(model.decoder.dec_blocks)
    ]
    found = model.encode(numbers["image"], 3)
    for hook in hooks:
        hook.remove()
    assert_close(found, latents[:, : 4 + 4 + 64])
    assert ran == [0, 1, 2]


def test_decode_gives_the_stored_logits_and_images(model, numbers, latents, hparams):
    head = latents[:, : given(numbers, hparams)]
    assert_close(model.decode_logits(head), numbers["decoded_logits"])
    images = model.decode(head)
    assert images.dtype == np.uint8
    # truncation turns a last float's difference into one step
    difference = np.abs(images.astype(int) - numbers["decoded_mode_uint8"])
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_batches_change_nothing(model, numbers, latents, hparams):
    head = latents[:, : given(numbers, hparams)]
    assert_close(model.encode(numbers["image"], 5, batch=2), head)
    assert_close(model.decode_logits(head, batch=2), numbers["decoded_logits"])
    together = model.encode(numbers["image"], 5, generators=seeds(7, 8, 9))
    alone = model.encode(numbers["image"][1:2], 5, generators=seeds(8))
    assert_close(alone, together[1:2])
    assert np.abs(together - head).max() > 0.1
    pictures = model.decode(head, generators=seeds(7, 8, 9), batch=2).astype(int)
    again = model.decode(head[2:], generators=seeds(9)).astype(int)
    assert (np.abs(pictures[2:] - again) > 1).mean() < 0.01


def test_draws_have_the_posteriors_mean_and_spread(model, numbers):
    n = 400
    images = np.repeat(numbers["image"][:1], n, axis=0)
    draws = model.encode(images, 1, generators=seeds(*range(n)))
    with torch.no_grad():
        activations = model.encoder(model._scaled(torch.from_numpy(images[:1])))
        block = model.decoder.dec_blocks[0]
        mean, log_std = block.posterior(model.decoder.bias_xs[0], activations[1])
    mean, std = mean.flatten().numpy(), log_std.exp().flatten().numpy()
    assert (np.abs(draws.mean(axis=0) - mean) < 4 * std / np.sqrt(n)).all()
    np.testing.assert_allclose(draws.std(axis=0), std, rtol=0.2)


def test_tensors_come_back_as_tensors(model, numbers):
    found = model.encode(torch.from_numpy(numbers["image"]), 2)
    assert isinstance(found, torch.Tensor)
    assert isinstance(model.decode(found), torch.Tensor)


def test_likelihood_is_that_of_a_discretised_logistic_mixture(rng):
    k = 3
    logits = rng.normal(size=(2, 4, 4, 10 * k))
    targets = rng.integers(0, 256, (2, 4, 4, 3))
    targets[0, 0, 0], targets[0, 0, 1] = 0, 255
    x = targets / 127.5 - 1
    weights = np.exp(logits[..., :k]) / np.exp(logits[..., :k]).sum(-1, keepdims=True)
    rest = logits[..., k:].reshape(2, 4, 4, 3, 3, k)
    means, scales, mix = rest[..., 0, :].copy(), np.exp(rest[..., 1, :]), np.tanh(rest[..., 2, :])
    means[..., 1, :] += mix[..., 0, :] * x[..., 0, None]
    means[..., 2, :] += mix[..., 1, :] * x[..., 0, None] + mix[..., 2, :] * x[..., 1, None]
    upper = np.where(targets == 255, np.inf, x + 1 / 255)[..., None]
    lower = np.where(targets == 0, -np.inf, x - 1 / 255)[..., None]
    shares = stats.logistic.cdf(upper, means, scales) - stats.logistic.cdf(lower, means, scales)
    expected = np.log((weights * shares.prod(axis=-2)).sum(-1)).sum(axis=(1, 2)) / (4 * 4 * 3)
    found = log_likelihood(torch.from_numpy(logits), torch.from_numpy(x))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_kl_is_that_of_torch(rng):
    mean, log_std, to_mean, to_log_std = torch.from_numpy(rng.normal(size=(4, 50)))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(mean, log_std.exp()), normal(to_mean, to_log_std.exp())
    )
    torch.testing.assert_close(gaussian_kl(mean, log_std, to_mean, to_log_std), expected)


def test_a_few_steps_of_training_lower_the_loss(rng):
    torch.manual_seed(0)
    hparams = {
        "image_size": 8,
        "width": 16,
        "zdim": 2,
        "enc_blocks": "8x1,8d2,4x1,4d4,1x1",
        "dec_blocks": "1x1,4m1,8m4",
        "custom_width_str": "1:24,4:24",
        "no_bias_above": 4,
    }
    model = VDVAE(hparams)
    images = np.repeat(np.repeat(rng.integers(0, 256, (8, 2, 2, 3), dtype=np.uint8), 4, axis=1), 4, axis=2)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    course = []
    for _ in range(30):
        distortion, rate = model.loss(images)
        assert rate >= 0
        optimiser.zero_grad()
        (distortion + rate).backward()
        optimiser.step()
        course.append((distortion + rate).item())
    assert course[-1] < course[0] - 0.5
    assert len(model.decoder.bias_xs) == 2


def test_untrained_prior_is_standard_normal(hparams):
    model = VDVAE(hparams)
    assert all(not block.prior.c4.weight.any() for block in model.decoder.dec_blocks)
    torch.testing.assert_close(
        torch.from_numpy(model.decode_logits(np.zeros((1, 0), np.float32))),
        torch.from_numpy(model.decode_logits(np.zeros((1, 4), np.float32))),
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".th"])
def test_checkpoints_load(suffix, tmp_path, hparams, tensors, numbers, latents):
    path = tmp_path / f"model{suffix}"
    state = {f"module.{name}": tensor for name, tensor in tensors.items()}
    (safetensors.torch.save_file if suffix == ".safetensors" else torch.save)(state, path)
    model = VDVAE.from_checkpoint(path, hparams)
    assert not model.training
    assert_close(model.encode(numbers["image"], 10), latents)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.gain": None}, r"tensor decoder.gain of shape \(1, 32, 1, 1\), found none"),
        ({"decoder.gain": torch.zeros(3)}, r"decoder.gain of shape \(1, 32, 1, 1\), found \(3,\)"),
        ({"decoder.extra": torch.zeros(3)}, r"decoder.extra of shape none, found \(3,\)"),
    ],
)
def test_wrong_checkpoints_are_named(tmp_path, hparams, tensors, change, message):
    state = {name: tensor for name, tensor in (tensors | change).items() if tensor is not None}
    torch.save(state, tmp_path / "model.th")
    with pytest.raises(InputError, match=message):
        VDVAE.from_checkpoint(tmp_path / "model.th", hparams)


def test_files_that_are_no_checkpoint_are_refused(tmp_path, hparams):
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    (tmp_path / "page.th").write_text("<html>")
    torch.save({"step": 3}, tmp_path / "other.th")
    for name in ("model.safetensors", "page.th", "other.th", "missing.th"):
        with pytest.raises(InputError, match=f"{name}: expected"):
            VDVAE.from_checkpoint(tmp_path / name, hparams)


def test_arguments_are_checked(model, numbers, hparams):
    with pytest.raises(ValueError, match="images: expected uint8"):
        model.encode(numbers["image"].astype(np.float32), 5)
    with pytest.raises(ValueError, match=r"images: expected uint8 \(n, 16, 16, 3\), found .*\(3, 8, 8, 3\)"):
        model.encode(numbers["image"][:, ::2, ::2], 5)
    with pytest.raises(ValueError, match="n_layers: expected 1 to 10, found 11"):
        model.encode(numbers["image"], 11)
    with pytest.raises(ValueError, match="generators: expected 3"):
        model.encode(numbers["image"], 2, generators=seeds(1))
    with pytest.raises(ValueError, match=r"latents: expected .* D one of 4, 8, 72, .*, found \(2, 5\)"):
        model.decode(np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match="hparams: expected the keys"):
        VDVAE({name: value for name, value in hparams.items() if name != "width"})
