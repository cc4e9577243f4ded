"""Every metric there is, and every network that metrics need: the one list of them.

What is computed, in which order, what tables and report call it, which way it improves and which weights it
needs all derive from here. A metric compares all truths with all pictures at once: `matrix` gives (n, m),
rows truths, columns pictures. Its diagonal holds the scores, and any re-pairing can be read from it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from neural_recon.evaluation import metrics

# what is compared: pictures at a preset's size, uint8; a network's features of them; what a judge names in
# them; predicted features of a space; captions as answers; pictures with the image whose guides they were
# painted with
Of = Literal["pixels", "network", "names", "features", "captions", "guides"]
# captions as answers, in the column `picture` of tables of scores: the nearest of training, a generator's
NEAREST, WRITTEN = "nearest_caption", "written_caption"


@dataclass(frozen=True)
class Network:
    """A network that pictures are compared by: a key of `evaluation.networks`.

    Attributes:
        what: its name, and for which preset which weights.
        file: the published name of its weights; "" for a folder with CLIP's encoder.
        files: the same by preset, where presets have different weights.
        under: the network whose features it weighs, and whose weights it needs, too.
    """

    what: str
    file: str = ""
    under: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def published(self, preset: str) -> str:
        """The published name of its weights under a preset."""
        return self.files.get(preset, self.file)


NETWORKS = {
    "alexnet": Network("AlexNet, torchvision's weights", "alexnet-owt-7be5be79.pth"),
    "inception": Network("Inception v3, torchvision's weights", "inception_v3_google-0cc3c7bd.pth"),
    "clip": Network("CLIP's image encoder in a folder of its own (ViT-L/14 but under native)"),
    "efficientnet": Network(
        "EfficientNet-B1, torchvision's first weights for brain_diffuser, its second for mindeye2",
        files={
            "brain_diffuser": "efficientnet_b1_rwightman-bac287d4.pth",
            "mindeye2": "efficientnet_b1-c27df63c.pth",
        },
    ),
    "swav": Network("SwAV's ResNet-50", "swav_800ep_pretrain.pth.tar"),
    "lpips": Network("LPIPS's weights of AlexNet's channels (with alexnet)", "alex.pth", under="alexnet"),
}


@dataclass(frozen=True)
class Metric:
    """One way of scoring pictures or predicted features.

    Attributes:
        of: what is compared.
        title: its name in a sentence.
        caption: how to read it.
        source: whose definition it is.
        matrix: of all pairs, from truths (n, ...) and what is compared with them (m, ...); None for what
            needs more: SSIM, which takes long for all pairs, retrieval, which draws candidates, and words.
        rivals: a score depends on the other truths too.
        better: whether higher or lower is better.
        chance: what guessing reaches by definition; None where only re-pairing tells.
        network, layer: of `NETWORKS`, and which of its layers, flattened ("": its output).
        published: its name in published tables of scores; "" for those that are in none.
    """

    of: Of
    title: str
    caption: str
    source: str
    matrix: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    rivals: bool = False
    better: Literal["higher", "lower"] = "higher"
    chance: float | None = None
    network: str = ""
    layer: str = ""
    published: str = ""

    @property
    def compared_layer(self) -> tuple[str, str]:
        """What is computed of a network for it."""
        return self.network, self.layer

    @property
    def presets(self) -> list[str]:
        """The presets under which it is measured."""
        found = metrics.PRESETS.items()
        # CLIP has a preparation of its own; the others have an input size where a preset gives them one
        return [name for name, one in found if self.network in ("", "clip", *one.networks)]


def two_way(
    of: Of, title: str, caption: str, network: str = "", layer: str = "", published: str = ""
) -> Metric:
    """Two-way identification, whose chance is a half."""
    source = "Ozcelik & VanRullen (2023)"
    matrix = metrics.identification_matrix
    return Metric(of, title, caption, source, matrix, True, "higher", 0.5, network, layer, published)


def distance(title: str, caption: str, network: str, layer: str, published: str) -> Metric:
    """Correlation distance of a network's features."""
    source = "Ozcelik & VanRullen (2023)"
    matrix = metrics.distance_matrix
    return Metric("network", title, caption, source, matrix, False, "lower", None, network, layer, published)


def named(of: Of, title: str, caption: str) -> Metric:
    """Whether a judge names what was seen."""
    return Metric(of, title, caption, "this project, on simulated data", metrics.named_matrix)


HEADLINE = "clip_two_way"  # what the report leads with and orders pictures by
METRICS = {
    # those of published tables, in their order
    "pixcorr": Metric(
        "pixels",
        "Pixel correlation",
        "Pearson's r over the pixels of picture and reconstruction: layout and colour. Blurry pictures do "
        "well, sharp ones with a displaced object badly.",
        "Ozcelik & VanRullen (2023)",
        metrics.correlation_matrix,
        published="PixCorr",
    ),
    "ssim": Metric(
        "pixels",
        "Structural similarity",
        "SSIM of the grey pictures. It rewards smooth pictures: compare with the mean training image "
        "before believing it.",
        "Wang et al. (2004); by preset as scikit-image computed it",
        published="SSIM",
    ),
    # torchvision's names of the ReLUs after the second and the fifth convolution
    "alexnet2_two_way": two_way(
        "network",
        "AlexNet 2 two-way identification",
        "Two-way identification by an early layer of AlexNet (features.4): edges, colours, texture.",
        "alexnet",
        "features.4",
        "Alex(2)",
    ),
    "alexnet5_two_way": two_way(
        "network",
        "AlexNet 5 two-way identification",
        "Two-way identification by a later layer of AlexNet (features.11): shapes and parts.",
        "alexnet",
        "features.11",
        "Alex(5)",
    ),
    "inception_two_way": two_way(
        "network",
        "Inception two-way identification",
        "Two-way identification by the last pooled layer of Inception v3: what is to be seen.",
        "inception",
        "avgpool",
        "Incep",
    ),
    "clip_two_way": two_way(
        "network",
        "CLIP two-way identification",
        "Share of the other test pictures that a reconstruction resembles less than its own, by correlation "
        "of CLIP image features. 1: always nearer to the picture seen; 0.5: guessing.",
        "clip",
        "",
        "CLIP",
    ),
    "efficientnet_distance": distance(
        "EfficientNet distance",
        "Mean correlation distance (1 − r) of EfficientNet-B1 features to those of the picture seen. "
        "Lower is better.",
        "efficientnet",
        "avgpool",
        "Eff",
    ),
    "swav_distance": distance(
        "SwAV distance",
        "Mean correlation distance (1 − r) of SwAV (ResNet-50) features to those of the picture seen. "
        "Lower is better.",
        "swav",
        "avgpool",
        "SwAV",
    ),
    # of what people find alike
    "lpips_two_way": Metric(
        "network",
        "LPIPS two-way identification",
        "Share of the other test pictures that a reconstruction looks less like than its own, by LPIPS: "
        "features of AlexNet weighed by what people judge alike.",
        "Zhang et al. (2018); two-way: this project",
        metrics.nearness_matrix,
        rivals=True,
        chance=0.5,
        network="lpips",
    ),
    "lpips_distance": Metric(
        "network",
        "LPIPS",
        "How different picture and reconstruction look to people (LPIPS, AlexNet, version 0.1): 0 for equal "
        "ones. Lower is better.",
        "Zhang et al. (2018)",
        metrics.squared_distance_matrix,
        better="lower",
        network="lpips",
    ),
    # by who knows what simulated pictures show
    "object": named(
        "names",
        "Main object named",
        "Share of pictures in which a judge, a small network trained apart from decoder and generator, "
        "names the main object that was seen.",
    ),
    "background": named(
        "names",
        "Background named",
        "Share of pictures in which the same judge names the background that was seen.",
    ),
    # of the decoder alone
    "two_way": two_way(
        "features",
        "Two-way identification of features",
        "Share of the other test pictures whose true features the predicted ones correlate less with than "
        "with their own. It rates the decoder alone, without any generator.",
    ),
    "retrieval_image": Metric(
        "features",
        "Image retrieval",
        "Share of draws in which the predicted CLIP vision features are nearest to those of the picture "
        "seen, among as many candidates as the section on retrieval says.",
        "Scotti et al. (2023)",
        rivals=True,
    ),
    "retrieval_brain": Metric(
        "features",
        "Brain retrieval",
        "Share of draws in which a picture's CLIP vision features are nearest to those predicted from the "
        "responses to it, among as many candidates as the section on retrieval says.",
        "Scotti et al. (2023)",
        rivals=True,
    ),
    # of captions as answers
    "caption_two_way": two_way(
        "captions",
        "Two-way identification of captions",
        "Share of the other test pictures whose captions an answer is less like than those of its own, by "
        "correlation of a text encoder's features.",
    ),
    "caption_words": Metric(
        "captions",
        "Content words in common",
        "Share of an answer's content words that any of the true captions has.",
        "this project",
    ),
    # of pictures with another image's guides
    "guide_two_way": two_way("guides", "CLIP two-way, guides' picture", ""),
    "guide_object": named("guides", "object of the guides' picture named", ""),
}
PUBLISHED_TITLES = {name: metric.published for name, metric in METRICS.items() if metric.published}


def compared(*what: Of) -> list[str]:
    """The metrics that compare this, in order."""
    return [name for name, metric in METRICS.items() if metric.of in what]


def measured(preset: str, networks: Collection[str], judge: bool) -> list[str]:
    """The metrics that pictures have under a preset, with the weights of some networks, with or without a
    judge of what they show."""
    return [
        name
        for name, metric in METRICS.items()
        if (metric.of == "pixels")
        or (metric.of == "network" and metric.network in networks and preset in metric.presets)
        or (metric.of == "names" and judge)
    ]


def better(name: str) -> Literal["higher", "lower"]:
    """Which way a score improves; tables of other versions may have metrics that are not listed."""
    return METRICS[name].better if name in METRICS else "higher"
