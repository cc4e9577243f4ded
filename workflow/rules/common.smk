import re
import sys

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from neural_recon.config import snakemake_paths
from neural_recon.config.configuration import Config, resolve
from neural_recon.config.sections import DataAmount
from neural_recon.core.errors import InputError
from neural_recon.datasets.dataset import DATA_SETS
from neural_recon.decoding.decoder import DECODERS, shared_file
from neural_recon.decoding.sources import Source
from neural_recon.evaluation import network_weights
from neural_recon.features import picture_captions, space
from neural_recon.generation import controls
from neural_recon.generation.generator import GENERATORS
from neural_recon.models import weights
from neural_recon.report import files as report_list
from neural_recon.workflow import (
    code_digests,
    fingerprints,
    memory_estimate,
    recipes,
    rule_defaults,
    slurm,
    snakemake_internals,
    terminal,
)
from neural_recon.workflow.painting import Painting
from neural_recon.workflow.plan import Plan

snakemake_internals.quote_interpreter()
snakemake_internals.keep_records_of_failed_jobs()
MAIN = workflow.is_main_process and workflow.modifier.is_main_snakefile()
if MAIN:
    terminal.shorten(workflow)

    onstart:
        snakemake_internals.without_timers(workflow.scheduler)


# The folder of this project, which is not that of a workflow that uses it as a module.
PROJECT = Path(workflow.current_basedir).parents[1]

CODE = code_digests.Kept(Path(".snakemake/neural_recon_code.json"))

# Of a recipe in a comparison (compare.smk) where its features lie; None in any other run.
SHARED = recipes.Shared(**config.pop("shared")) if "shared" in config else None

# A user's mistake in the configuration or the design ends here, in one sentence.
try:
    snakemake_paths.check(
        folder_of_the_project=PROJECT, Python_interpreter=sys.executable
    )
    GIVEN = dict(config)
    # the resolved configuration, defaults and recipe included, is what rules look their parameters up in
    config.update(resolve(config, PROJECT))
    # those in force, also where another workflow that uses this one as a module sets them
    config["pathvars"] = {
        name: workflow.pathvars.items[name]
        for name in ("results", "logs", "benchmarks", "shared")
        if name in workflow.pathvars.items
    }
    CONFIG = Config.model_validate(config)
    PLAN = Plan(CONFIG)
    RECIPES = recipes.recipes(GIVEN, CONFIG, PROJECT)
    if (
        workflow.is_main_process and not SHARED
    ):  # what a job on another machine need not do again
        slurm.guard()
        PLAN.check_files()
        PLAN.data.fetch_for_planning(PLAN.missing())
        PLAN.check()
    WEIGHTS = weights.read_table(PROJECT / weights.TABLE)
    # the recipe's spaces: their classes, and their settings with the weights' paths
    SPACE_KINDS = space.space_kinds(CONFIG.spaces)
    LOCATED = {
        name: kind.locate(f"spaces.{name}", CONFIG.spaces[name], WEIGHTS)
        for name, kind in SPACE_KINDS.items()
    }
    # what writes captions of the pictures, if anything does
    CAPTIONER = CAPTIONER_FILES = None
    if CONFIG.captioner:
        NAMED = CONFIG.captioner.weights
        CAPTIONER = str(weights.locate("captioner.weights", NAMED, WEIGHTS, "folder"))
        CAPTIONER_FILES = picture_captions.model_files(NAMED, WEIGHTS)
    # what captions as answers are compared by, where the configuration names another space than the recipe's
    ENCODER = CONFIG.caption_encoder
    ENCODER_KIND = space.SPACES.load(ENCODER.kind) if ENCODER else None
    LOCATED_ENCODER = (
        ENCODER_KIND.locate("evaluation.caption_encoder", ENCODER, WEIGHTS)
        if ENCODER
        else None
    )
    # likewise the space of encoding models, if any
    ENCODING = CONFIG.evaluation.encoding
    if ENCODING:
        ENCODING_KIND = space.SPACES.load(ENCODING.kind)
        ENCODING_FILES = ENCODING_KIND.files(ENCODING, WEIGHTS)
        ENCODING = ENCODING_KIND.locate("evaluation.encoding", ENCODING, WEIGHTS)
    GENERATOR = Painting(CONFIG.generator, WEIGHTS, CONFIG.evaluation.draws)
    # network -> weights, of those that are named
    NETWORKS = network_weights.locate(
        CONFIG.evaluation.networks, CONFIG.evaluation.preset, WEIGHTS
    )
except InputError as error:
    raise WorkflowError(str(error)) from None

DATA = PLAN.data
# The data set's own rules, if it brings any: alongside somebody's own module.
DATA_RULES = PROJECT / f"workflow/rules/datasets/{CONFIG.dataset.kind}.smk"
if CONFIG.dataset.kind.endswith(".py"):
    DATA_RULES = Path(CONFIG.dataset.kind).resolve().with_suffix(".smk")
# The decoder's own rules, likewise; without any, what it predicts is made by one rule for all such kinds.
DECODER_RULES = PROJECT / f"workflow/rules/decoders/{CONFIG.decoder.kind}.smk"
if CONFIG.decoder.kind.endswith(".py"):
    DECODER_RULES = Path(CONFIG.decoder.kind).resolve().with_suffix(".smk")
if not DECODER_RULES.is_file():
    DECODER_RULES = PROJECT / "workflow/rules/decoders/predictions.smk"
# What it predicts per space, and the analyses of it that its rules make. Names of files do not depend on settings:
# of a job that lacks one of its files Snakemake does not look whether its parameters have changed.
DECODER = DECODERS.load(CONFIG.decoder.kind)
FITS, OFFERS = DECODER.fits, DECODER.offers
SETS = CONFIG.regions.sets if "regions" in OFFERS else {}
SPACES = list(CONFIG.spaces)
# Fits that are painted where the configuration asks for them: without any response, and of a few components.
PRIOR = ["prior"] if CONFIG.evaluation.prior else []
BOTTLENECK = CONFIG.bottleneck if "bottleneck" in OFFERS else None
COMPONENTS = [controls.of_components(k) for k in CONFIG.painted_components]
# The subjects with pictures and scores; others only train the networks of these.
DECODED = CONFIG.decoded
# The space whose pictures are the base images, if any, and the one that says which pictures are alike.
BASE = CONFIG.base
ALIKE = space.similarity_space(CONFIG.spaces)
# The space that captions as answers are looked up in, of data and recipes that have text.
CAPTIONED = "captions" in CONFIG.data.offers
TEXT = space.text_space(CONFIG.spaces) if CAPTIONED else None
CONTROL_TABLES = [*sorted({"clusters", "leaks"} & OFFERS), "seeds"]
if GENERATOR.settings.two_stages:
    CONTROL_TABLES.append("single_stage")

# Whether features and weights go to, and come from, the cache that folders share (docs/cache.md).
CACHED = workflow.enable_cache
if CACHED:
    snakemake_internals.name_sources_by_digest()


# What people look at first is computed first: pictures, then the scores, then all further controls.
PICTURES, SCORES = 20, 10


wildcard_constraints:
    subject="|".join(CONFIG.subjects),
    stimuli="|".join(
        {name for subject in CONFIG.subjects for name in DATA.lists(subject)}
    ),
    space="|".join(SPACES),
    session=r"\d\d+",
    chunk=r"\d\d\d+",
