"""The sections of the configuration: a typed model each, unknown keys are errors."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from neural_recon.core.errors import first_mistake
from neural_recon.core.kinds import Section
from neural_recon.datasets.dataset import DATA_SETS, DataSet, Session
from neural_recon.evaluation.registry import HEADLINE, NEAREST, NETWORKS, WRITTEN
from neural_recon.features.space import SPACES

SpaceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
# names that something alongside predicted features has: pictures in tables of scores, files of kept decoders
TAKEN = ("base", "final", "baseline", "responses", NEAREST, WRITTEN)


class Captioner(Section):
    """Captions of the pictures by BLIP, for data without their own; without the section there are none."""

    weights: str = Field(
        "Salesforce/blip-image-captioning-base",
        description="BLIP: a name in config/weights.yaml, or a folder in the layout of transformers.",
    )
    beams: Annotated[int, Field(ge=1)] = Field(
        3, description="Sentences followed at once (beam search); 1: the likeliest word at a time."
    )
    batch: Annotated[int, Field(ge=1)] = Field(16, description="Pictures at once; changes no caption.")


class Clusters(Section):
    """Groups of similar images, by CLIP vision's class token."""

    count: Annotated[int, Field(ge=2)] = Field(100, description="Clusters of a subject's images.")
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="Share of the images to hold out, in whole clusters."
    )


class Split(Section):
    """Which images train and which test; without lists the data set's own test images."""

    name: Literal["all", "published", "clusters", "repeated", "share", "categories"] = Field(
        "all",
        description="all: the data set's own test images (NSD's are the shared ones); published: the same of "
        "the first 37 sessions; clusters: whole clusters of similar images test (`snakemake --cores 2 "
        "clusters` first); repeated: images shown more often; share: a share of all; categories: whole "
        "categories.",
    )
    repetitions: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="repeated: images shown at least this often in these sessions test; default: as often as "
        "sets some apart from what is usual.",
    )
    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share and categories: the share of the images that is drawn, by the seed."
    )
    category: str = Field(
        "category", description="categories: the column of the trials with an image's category."
    )
    held_out: list[str] = Field([], description="categories: those that test; none: drawn.")
    train: str | None = Field(None, description="File with the training images' image ids, one a line.")
    test: str | None = Field(None, description="File with the test images' image ids, one a line.")
    clusters: Clusters = Clusters()

    @model_validator(mode="after")
    def _lists_or_name(self) -> "Split":
        if self.name != "all" and (self.train or self.test):
            raise ValueError(f'lists of ids make a split of their own: leave name "{self.name}" out')
        return self


class Responses(Section):
    """How the responses are brought to one scale."""

    zscore: Literal["train", "session"] = Field(
        "train",
        description="z-score by the training images over all sessions, or first each session by its own.",
    )
    average: bool = Field(
        True,
        description="Train on the mean over an image's repetitions; false: on single trials. Test images are "
        "averaged either way.",
    )
    noise_ceiling: Literal["repetitions", "ncsnr"] = Field(
        "repetitions",
        description="Of the test images: from the repetitions here, or from the data set's own "
        "signal-to-noise ratios, where it has any.",
    )


class Features(Section):
    """How features are stored."""

    chunk: Annotated[int, Field(ge=1)] = Field(500, description="Images a job and file.")


def _known_network(name: str) -> str:
    if name not in NETWORKS:
        raise ValueError(f"unknown network; known are {', '.join(NETWORKS)}")
    return name


def _text_space(raw: dict[str, Any]) -> dict[str, Any]:
    """The settings of a space that reads captions, complete."""
    try:
        settings = SPACES.settings(raw)
    except ValidationError as error:
        raise ValueError(first_mistake(error)) from error
    if SPACES.load(settings.kind).reads != "captions":
        raise ValueError(f"a space of the kind {settings.kind} does not read captions; name one that does")
    return settings.model_dump(mode="json")


def _encoding_space(raw: Any) -> Any:
    """The settings of the space that encoding models are fitted in, or None for no such models."""
    if isinstance(raw, str):
        raise ValueError("expected a feature space of its own, such as {kind: gabor}, and not one by name")
    return None if raw is None else SPACES.settings(raw)


# Any, so that the keys of all kinds of spaces are listed once, under `spaces`
EncodingSpace = Annotated[
    Any,
    PlainValidator(_encoding_space),
    PlainSerializer(lambda one: one and one.model_dump(mode="json")),
    WithJsonSchema({"anyOf": [{"type": "object", "required": ["kind"]}, {"type": "null"}]}),
]


class Evaluation(Section):
    """Scores and their controls."""

    preset: Literal["brain_diffuser", "mindeye2", "native"] = Field(
        "brain_diffuser",
        description="Whose sizes, SSIM and networks' inputs; native compares at the size of the final "
        "images, without networks other than CLIP.",
    )
    networks: dict[Annotated[str, AfterValidator(_known_network)], str] = Field(
        {},
        description="The weights of each network that pictures are compared by: a name in "
        "config/weights.yaml, or a path; what is not named is not measured. "
        + "; ".join(f"{name}: {network.what}" for name, network in NETWORKS.items())
        + ".",
    )
    caption_encoder: Annotated[dict[str, Any], AfterValidator(_text_space)] | None = Field(
        None,
        description="What captions as answers are compared by: a feature space that reads captions, as in "
        "`spaces` (kind, weights, ...); default: the recipe's own, which also chose the nearest captions.",
    )
    repairings: Annotated[int, Field(ge=100)] = Field(1000, description="Random re-pairings a control.")
    shuffled_refits: Annotated[int, Field(ge=2)] = Field(
        20,
        description="Refits of each decoder on shuffled training pairs: their scores are the null of the "
        "features' scores; p is 1 / (1 + refits) at the least.",
    )
    control_images: Annotated[int, Field(ge=2)] = Field(
        100,
        description="Test images that the painted controls are for: true-feature ceiling, swapped guides, "
        "guides only, shuffled decoder, other draws.",
    )
    draws: Annotated[int, Field(ge=1)] = Field(
        3, description="Draws of the control images' pictures: the run's own, and others for the spread."
    )
    prior: bool = Field(
        False,
        description="Paint the control images once more without any response, from the mean of the training "
        "images' features: what the generator's prior alone reaches.",
    )
    encoding: EncodingSpace = Field(
        None,
        description="A feature space, as an entry of spaces, that predicts responses to pictures: whether "
        "the reconstruction evokes the response. None that the decoder predicts; kind gabor needs no "
        "weights. Default: no such scores.",
    )
    classifier: str | None = Field(
        None, description="Weights of the demo's judge of objects and backgrounds; needs scenes."
    )
    scenes: str | None = Field(None, description="Table of what each picture shows, for the judge.")

    @model_validator(mode="after")
    def _judge_is_whole(self) -> "Evaluation":
        if (self.classifier is None) != (self.scenes is None):
            raise ValueError("classifier and scenes go together: give both or neither")
        return self


class DataAmount(Section):
    """Decoders refitted on less data: `snakemake data_amount`, in the report too where the section stands."""

    sessions: list[Session] = Field(
        [1, 2, 5, 10, 20], description="Fit on the first of so many sessions; all of them come last anyway."
    )
    voxels: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [0.1, 0.25, 0.5], description="Fit on so large shares of the voxels, drawn at random; all anyway."
    )
    draws: Annotated[int, Field(ge=1)] = Field(3, description="Random draws of voxels a share.")
    targets: Annotated[int, Field(ge=2)] = Field(
        4096, description="Features a space that are decoded and scored, a seeded sample."
    )


class Bottleneck(Section):
    """Decoders that see the first components of the responses only (BrainBits), where the section stands and
    the decoder offers it."""

    components: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = Field(
        [1, 2, 5, 10, 30, 100, 300], description="How many components; all of them come last anyway."
    )
    targets: Annotated[int, Field(ge=2)] = Field(
        4096, description="Features a space that are decoded and scored, a seeded sample."
    )
    pictures: Literal["base", "final"] | None = Field(
        None,
        description="Score pictures of each number of components, too: base images of all test images, or "
        "(final) these and final images of evaluation.control_images, painted once per number.",
    )


RegionName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class Regions(Section):
    """What single regions tell: a decoder of each, and a synthetic response of each alone."""

    sets: dict[RegionName, Annotated[list[str], Field(min_length=1)]] = Field(
        {},
        description="Name -> regions that are decoded together, as the data set calls them; none: no such "
        "analysis.",
    )
    amplitude: Annotated[float, Field(gt=0)] = Field(
        1.0,
        description="Of the synthetic responses, in standard deviations of a voxel over the training images.",
    )


class Generalisation(Section):
    """Other sessions of the same people, with the pictures seen: kept decoders are scored there."""

    dataset: Annotated[DataSet.Settings, DATA_SETS] = Field(
        description="Where these sessions lie: keys as of the section dataset, of any kind."
    )
    subjects: dict[str, str] = Field(
        {},
        description="Subject here -> what that data set calls the same person; default: those of the same "
        "name.",
    )
    sessions: Literal["all"] | list[Session] = Field("all", description="Which of its sessions.")
    groups: str | None = Field(
        None,
        description="Column of its trials by which scores are parted, such as one of vision and imagery.",
    )
    trials: Annotated[int, Field(ge=1)] | None = Field(
        None, description="How many trials of a picture are averaged, the first; default: all."
    )
    zscore: Literal["train", "session", "run"] | None = Field(
        None,
        description="z-score by the training images, by these sessions themselves, or each run (column run "
        "or run_number of the trials) by itself; default: as the decoder's own responses are.",
    )


class Figure(Section):
    """The figure for papers, one per subject: which test images are its columns."""

    rule: Literal["best_median_worst", "evenly", "first"] = Field(
        "best_median_worst",
        description="best_median_worst: equal parts of the best, the middle and the worst by the score; "
        "evenly: evenly spread over the ranks, from the best to the worst; first: the lowest image ids.",
    )
    score: str | None = Field(
        None,
        description="Metric of the final images that ranks them and is printed below them; default: "
        f"{HEADLINE}, or pixcorr where that is not measured.",
    )
    count: Annotated[int, Field(ge=3)] = Field(9, description="Columns, 3 at least.")
    image_ids: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="Test images chosen by hand instead of by rule; the caption says so."
    )


class Demo(Section):
    """The embedded data set: written by the workflow itself, in NSD's formats."""

    seed: int = Field(20, ge=0, lt=1_000_000, description="Seeds pictures, brains and noise.")
    subjects: list[str] = Field(["subj01", "subj02"], description="The simulated subjects.")
    sessions: Annotated[int, Field(ge=1, le=40)] = Field(4, description="Sessions of 750 trials a subject.")
    shared_images: Annotated[int, Field(ge=2)] = Field(
        100, description="Pictures all subjects see three times in these sessions: the test images."
    )
    own_images: Annotated[int, Field(ge=2)] = Field(
        900,
        description="Pictures a subject alone sees three times; with the shared ones they fill the sessions.",
    )
    rendered_shared: Annotated[int, Field(ge=2)] = Field(
        300, description="Shared pictures drawn: those shown, and the rest of their chunk."
    )
