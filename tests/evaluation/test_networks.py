"""Scores by networks: the published ones' layers and inputs, with random weights, from files to tables."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.places import ROOT
from helpers.random_networks import ARCHITECTURES, random_lpips, random_tensors
from PIL import Image
from scipy.spatial import distance
from torchvision import transforms
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from neural_recon.config.sections import Evaluation
from neural_recon.core.errors import InputError
from neural_recon.evaluation import metrics, network_weights, networks
from neural_recon.evaluation.folder_scores import evaluate_folder
from neural_recon.evaluation.networks import NETWORK_OF, PresetNetworks, load_network
from neural_recon.evaluation.registry import METRICS
from neural_recon.models import weights
from neural_recon.models.clip import ClipContexts
from neural_recon.models.encoder_parts import CLIP_MEAN, CLIP_STD

CLIP = {"clip": "its folder"}
TINY_CLIP = {"image_size": 28, "patch_size": 14, "hidden_size": 16, "num_hidden_layers": 1}


@pytest.fixture(scope="module")
def tensors() -> dict[str, dict[str, torch.Tensor]]:
    return {**{name: random_tensors(name) for name in ARCHITECTURES}, "lpips": random_lpips()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tensors):
    """The published files, with random weights; some in folders of their own, as they are fetched."""
    folder = tmp_path_factory.mktemp("weights")
    for name, file in network_weights.published("mindeye2").items():
        content = tensors[name]
        if name == "swav":
            content = {f"module.{key}": value for key, value in content.items() if not key.startswith("fc.")}
            content |= {
                "module.projection_head.0.weight": torch.zeros(3),
                "module.prototypes.weight": torch.ones(2),
            }
        path = folder / file if name == "alexnet" else folder / name / file
        path.parent.mkdir(exist_ok=True)
        torch.save(content, path)
    return folder


def files_of(folder) -> dict:
    return {name: next(folder.rglob(file)) for name, file in network_weights.published("mindeye2").items()}


@pytest.fixture
def small_clip(monkeypatch) -> ClipContexts:
    """An image encoder that passes for ViT-L/14."""
    monkeypatch.setattr(networks, "VIT_L_14", TINY_CLIP)
    config = CLIPVisionConfig(**TINY_CLIP, intermediate_size=16, num_attention_heads=2, projection_dim=8)
    torch.manual_seed(0)
    clip = ClipContexts(CLIPVisionModelWithProjection(config).eval(), None, None)
    monkeypatch.setattr(networks, "load_clip", lambda *_, **__: clip)
    return clip


@pytest.fixture
def pictures(rng) -> np.ndarray:
    """Pictures uint8 (3, 60, 60, 3)."""
    return np.kron(rng.integers(0, 256, (3, 10, 10, 3)), np.ones((1, 6, 6, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def originals(tensors) -> dict[str, torch.nn.Module]:
    """torchvision's own modules with these weights."""
    found = {}
    for name, build in ARCHITECTURES.items():
        with torch.device("meta"):  # no time for initial weights
            found[name] = build().eval()
        counters = {
            key: torch.tensor(0) for key in found[name].state_dict() if key.endswith("num_batches_tracked")
        }
        found[name].load_state_dict(counters | tensors[name], assign=True)
    return found


def published(model: torch.nn.Module, layer: str, inputs: torch.Tensor) -> np.ndarray:
    """A layer as the published scripts take it: by a hook."""
    seen = []
    hook = model.get_submodule(layer).register_forward_hook(lambda *call: seen.append(call[2].clone()))
    with torch.inference_mode():
        model(inputs)
    hook.remove()
    return seen[0].flatten(1).numpy()


# sides of the pictures on their way into each network, as published
WAYS = {
    ("brain_diffuser", "picture"): dict.fromkeys(ARCHITECTURES, (224,)),
    ("mindeye2", "truth"): {
        "alexnet": (224, 256, 256),
        "inception": (224, 256, 342),
        "efficientnet": (224, 256, 255),
        "swav": (224, 256, 224),
    },
}


@pytest.mark.parametrize(("preset", "side"), WAYS)
def test_features_are_those_of_torchvisions_networks_and_transforms(
    folder, originals, pictures, preset, side
):
    found_by = PresetNetworks(preset, files_of(folder))
    found = found_by.features(pictures[:2], side)
    assert list(found) == [metric for metric in NETWORK_OF if metric != "clip_two_way"]
    for metric in (metric for metric in found if NETWORK_OF[metric] in ARCHITECTURES):
        name, layer = METRICS[metric].network, METRICS[metric].layer
        way = [transforms.Resize((size, size)) for size in WAYS[preset, side][name]]
        way += [transforms.ToTensor()]
        if name == "inception":  # trained on [-1, 1]
            way += [transforms.Normalize([0.5] * 3, [0.5] * 3)]
        else:
            way += [transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
        inputs = torch.stack([transforms.Compose(way)(Image.fromarray(picture)) for picture in pictures[:2]])
        expected = published(originals[name], layer, inputs)
        assert expected.std() > 1e-3
        np.testing.assert_allclose(found[metric], expected, rtol=1e-3, atol=1e-4 * expected.std())
    # after the ReLU, of the second and the fifth convolution
    side_2, side_5 = ((27, 13), (31, 15))[preset == "mindeye2"]
    for metric, width in (("alexnet2_two_way", 192 * side_2**2), ("alexnet5_two_way", 256 * side_5**2)):
        assert found[metric].shape == (2, width)
        assert found[metric].min() == 0 < found[metric].max()
    assert found["inception_two_way"].shape == found["swav_distance"].shape == (2, 2048)
    assert found["efficientnet_distance"].shape == (2, 1280)


# of the pictures against themselves, dimmed and inverted: what lpips 0.1.4 gives with these random weights
LPIPS = {
    "brain_diffuser": [
        [1.71083331, 1.39855611, 1.39704776],
        [1.3879509, 1.67267942, 1.30988121],
        [1.42147744, 1.36697328, 1.68554652],
    ],
    "mindeye2": [
        [1.7454896, 1.42499924, 1.42048645],
        [1.42149758, 1.7163825, 1.34115887],
        [1.43866885, 1.38207376, 1.71885145],
    ],
}


@pytest.mark.parametrize("preset", LPIPS)
def test_lpips_of_all_pairs_is_that_of_its_authors_library(folder, originals, tensors, pictures, preset):
    files = {name: path for name, path in files_of(folder).items() if name in ("alexnet", "lpips")}
    changed = 255 - pictures // 2
    found_by = PresetNetworks(preset, files)
    truth, found = found_by.features(pictures, "picture"), found_by.features(changed, "picture")
    assert truth["lpips_two_way"] is truth["lpips_distance"]
    matrix = METRICS["lpips_distance"].matrix(truth["lpips_distance"], found["lpips_distance"])
    expected = np.array(LPIPS[preset])
    np.testing.assert_allclose(matrix, expected, rtol=1e-4)
    two_way = METRICS["lpips_two_way"].matrix(truth["lpips_two_way"], found["lpips_two_way"])
    for j, own in enumerate(np.diag(expected)):
        assert two_way[j, j] == pytest.approx((own < np.delete(expected[:, j], j)).mean())
    # equal pictures are no distance apart
    same = METRICS["lpips_distance"].matrix(truth["lpips_distance"], truth["lpips_distance"])
    np.testing.assert_allclose(np.diag(same), 0, atol=1e-6)
    if preset == "brain_diffuser":
        library = pytest.importorskip("lpips", reason="needs the library lpips, the numbers' source")
        theirs = library.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
        theirs.load_state_dict(tensors["lpips"], strict=False)
        for k in range(1, 6):
            for number, layer in getattr(theirs.net, f"slice{k}").named_children():
                layer.load_state_dict(originals["alexnet"].features[int(number)].state_dict())
        pair = (networks.prepared(some[:1], (224,)) for some in (pictures, changed))
        inputs = (torch.from_numpy(one).permute(0, 3, 1, 2) / 127.5 - 1 for one in pair)
        with torch.inference_mode():
            assert theirs(*inputs).item() == pytest.approx(expected[0, 0], rel=1e-5)


def test_lpips_says_what_it_lacks(folder, tmp_path):
    files = files_of(folder)
    alone = PresetNetworks("mindeye2", {"lpips": files["lpips"]}, {"alexnet": "no alexnet here"})
    assert alone.missing["lpips_distance"] == "it weighs features of alexnet: no alexnet here"
    torch.save(random_lpips() | {"lin2.model.1.weight": torch.zeros(1, 8, 1, 1)}, tmp_path / "alex.pth")
    both = {"lpips": tmp_path / "alex.pth", "alexnet": files["alexnet"]}
    with pytest.raises(
        InputError, match=r"alex\.pth: expected LPIPS's weights .* 384 .*found \(1, 8, 1, 1\)"
    ):
        PresetNetworks("mindeye2", both, where="meta")
    torch.save({name: -value for name, value in random_lpips().items()}, tmp_path / "alex.pth")
    with pytest.raises(InputError, match="expected weights of 0 or more in lin0"):
        PresetNetworks("mindeye2", both)


def test_clip_sees_the_presets_preparation(small_clip, pictures, monkeypatch):
    monkeypatch.setitem(
        metrics.PRESETS, "mindeye2", dataclasses.replace(metrics.PRESETS["mindeye2"], networks={"clip": 28})
    )
    found = PresetNetworks("mindeye2", CLIP).features(pictures, "picture")["clip_two_way"]
    steps = [Image.fromarray(p).resize((256, 256), Image.Resampling.BILINEAR) for p in pictures]
    steps = [np.asarray(p.resize((28, 28), Image.Resampling.BILINEAR)) / 255 for p in steps]
    scaled = (np.stack(steps) - CLIP_MEAN) / CLIP_STD
    with torch.no_grad():
        inputs = torch.from_numpy(scaled.transpose(0, 3, 1, 2)).float()
        expected = small_clip.image_encoder(pixel_values=inputs).image_embeds.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # natively it is the generator's own, whatever CLIP that is
    monkeypatch.setattr(networks, "VIT_L_14", {"image_size": 224})
    native = PresetNetworks("native", CLIP).features(pictures, "picture")["clip_two_way"]
    np.testing.assert_array_equal(native, small_clip.embedding(pictures))
    assert np.abs(native - found).max() > 1e-3
    assert "image_size 28" in PresetNetworks("mindeye2", CLIP).missing["clip_two_way"]


def test_batches_and_shapes_change_nothing(folder, pictures, monkeypatch):
    found_by = PresetNetworks("brain_diffuser", {"alexnet": files_of(folder)["alexnet"]})
    expected = found_by.features(pictures, "picture")
    monkeypatch.setattr(networks, "BATCH", 2)
    for metric, values in found_by.features(list(pictures), "picture").items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected[metric], rtol=1e-4, atol=1e-5)
    # resized as a whole: nothing is cropped away from a picture that is no square
    wide = np.concatenate([pictures[0], 255 - pictures[0]], axis=1)
    other = found_by.features([wide, pictures[1]], "picture")["alexnet2_two_way"]
    np.testing.assert_allclose(other[1], expected["alexnet2_two_way"][1], rtol=1e-4, atol=1e-5)
    assert np.abs(other[0] - expected["alexnet2_two_way"][0]).max() > 0.1


def test_other_networks_weights_are_refused(folder):
    files = files_of(folder)
    with pytest.raises(InputError, match=r"alexnet.*pth: expected the tensor .*not the checkpoint"):
        load_network("efficientnet", files["alexnet"], "meta")
    with pytest.raises(InputError, match="expected a file of weights, found none"):
        load_network("swav", folder / "nothing.pth", "meta")
    for name in ARCHITECTURES:  # as the doctor looks at them
        load_network(name, files[name], "meta")
    PresetNetworks("mindeye2", files, where="meta")


@pytest.mark.usefixtures("small_clip")
def test_a_folder_of_pictures_end_to_end(folder, pictures, tmp_path, monkeypatch):
    """All eight published figures of a folder under mindeye2, at its sizes, from random weights."""
    preset = metrics.PRESETS["mindeye2"]
    monkeypatch.setitem(
        metrics.PRESETS, "mindeye2", dataclasses.replace(preset, networks={**preset.networks, "clip": 28})
    )
    for kind, stack in (("stimuli", pictures), ("pictures", 255 - pictures // 2)):
        (tmp_path / kind).mkdir()
        for image_id, picture in enumerate(stack):
            Image.fromarray(picture).save(tmp_path / kind / f"{image_id}.png")
    summary, images = evaluate_folder(
        tmp_path / "pictures", tmp_path / "stimuli", "mindeye2", clip=tmp_path, folder=folder
    )
    assert summary["metric"].tolist() == ["pixcorr", "ssim", *NETWORK_OF]
    assert (summary["not_measured"] == "").all()
    assert np.isfinite(summary[["mean", "ci_low", "ci_high", "shuffled", "p"]]).all(axis=None)
    checked = {name: files_of(folder)[name] for name in ("alexnet", "efficientnet")}
    found_by = PresetNetworks("mindeye2", checked)
    seen = found_by.features(pictures, "truth")
    found = found_by.features(255 - pictures // 2, "picture")
    values = images.loc[images["metric"] == "efficientnet_distance", "value"]
    pairs = zip(seen["efficientnet_distance"], found["efficientnet_distance"], strict=True)
    np.testing.assert_allclose(values, [distance.correlation(t, f) for t, f in pairs], atol=1e-6)
    values = images.loc[images["metric"] == "alexnet2_two_way", "value"]
    r = np.corrcoef(seen["alexnet2_two_way"], found["alexnet2_two_way"])[:3, 3:]
    np.testing.assert_allclose(values, [(np.diag(r)[j] > np.delete(r[:, j], j)).mean() for j in range(3)])


def test_weights_of_the_configuration(tmp_path, monkeypatch):
    table = weights.read_table(ROOT / weights.TABLE)
    monkeypatch.chdir(tmp_path)
    names = {"alexnet": "alexnet", "inception": "inception-v3", "swav": "swav-resnet50"}
    names["lpips"] = "lpips-alex"
    for preset, efficientnet in (("brain_diffuser", "first"), ("mindeye2", "second")):
        chosen = {**names, "efficientnet": f"efficientnet-b1-{efficientnet}"}
        evaluation = Evaluation.model_validate({"preset": preset, "networks": chosen})
        found = network_weights.locate(evaluation.networks, preset, table)
        # what a fetch writes is what `neural-recon evaluate` looks for
        files = {name: path.split("/")[-1] for name, path in found.items()}
        assert files == network_weights.published(preset)
        assert all(
            path == f"resources/models/{chosen[name]}/{path.split('/')[-1]}" for name, path in found.items()
        )
        for entry in chosen.values():
            (file,) = table[entry].files
            assert file.sha256_begins is None or f"-{file.sha256_begins}.pth" in file.path
    assert Evaluation().networks == {}
    wrong = {"efficientnet": "efficientnet-b1-second"}
    with pytest.raises(InputError, match=r"networks\.efficientnet: expected efficientnet_b1_rwightman"):
        network_weights.locate(wrong, "brain_diffuser", table)
    wrong = {"swav": "swaw"}
    with pytest.raises(InputError, match=r"evaluation\.networks\.swav: expected a name of .*existing file"):
        network_weights.locate(wrong, "brain_diffuser", table)


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_torchvision_stands_in_nobodys_way():
    """Whichever library imports it first."""
    run("""
import os, sys, neural_recon
assert not {"torch", "torchvision"} & set(sys.modules)
import torch  # once for both

USES = [
    "from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection",
    "from diffusers import AutoencoderKL, UNet2DConditionModel",
]
for order in (USES, USES[::-1]):
    child = os.fork()
    if not child:
        assert "torchvision" not in sys.modules
        for line in order:
            exec(line)
        from torchvision import models, transforms
        models.resnet18()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, order
""")


def test_a_torchvision_that_loads_is_left_alone(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/_C.so").touch()
    (tmp_path / "torchvision/__init__.py").write_text("HERE = True\n")
    run(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import neural_recon, torch\n"
        "from neural_recon.core import torchvision_operators\n"
        "def load(path):\n"
        "    assert path.endswith('torchvision/_C.so')\n"
        "    torch.own = torch.library.Library('torchvision', 'DEF')\n"
        "    for name in torchvision_operators.DECLARED:\n"
        "        torch.own.define(f'{name}(Tensor a) -> Tensor')\n"
        "torch.ops.load_library = load\n"
        "import torchvision\n"
        "assert torchvision.HERE and torch.own\n"
        "assert not torchvision_operators._kept\n"
        "assert 'Tensor a' in str(torch.ops.torchvision.nms.default._schema)"
    )
