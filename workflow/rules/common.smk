import re
import sys

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from neural_recon.config import snakemake_paths
from neural_recon.config.configuration import ANNOTATIONS, Config, resolve
from neural_recon.config.sections import DataAmount
from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd import coco
from neural_recon.datasets.nsd.nsd_tree import REGIONS, mask_files
from neural_recon.evaluation import network_weights
from neural_recon.features import space
from neural_recon.generation.generator import GENERATORS
from neural_recon.models import weights
from neural_recon.report import files as report_list
from neural_recon.workflow import (
    fingerprints,
    kept_digests,
    rule_defaults,
    slurm,
    snakemake_internals,
    terminal,
)
from neural_recon.workflow.painting import Painting
from neural_recon.workflow.plan import Plan

snakemake_internals.quote_interpreter()
MAIN = workflow.is_main_process and workflow.modifier.is_main_snakefile()
if MAIN:
    terminal.shorten(workflow)
    snakemake_internals.one_timer()

# The folder of this project, which is not that of a workflow that uses it as a module.
PROJECT = Path(workflow.current_basedir).parents[1]

# A user's mistake in the configuration or the design ends here, in one sentence.
try:
    snakemake_paths.check(
        folder_of_the_project=PROJECT, Python_interpreter=sys.executable
    )
    # the resolved configuration, defaults and recipe included, is what rules look their parameters up in
    config.update(resolve(config, PROJECT))
    # those in force, also where another workflow that uses this one as a module sets them
    config["pathvars"] = {
        name: workflow.pathvars.items[name]
        for name in ("results", "logs", "benchmarks")
    }
    CONFIG = Config.model_validate(config)
    PLAN = Plan(CONFIG)
    if workflow.is_main_process:  # what a job on another machine need not do again
        slurm.guard()
        PLAN.check_files()
        PLAN.fetch_design()
        PLAN.check()
    WEIGHTS = weights.read_table(PROJECT / weights.TABLE)
    # the recipe's spaces: their classes, and their settings with the weights' paths
    SPACE_KINDS = space.space_kinds(CONFIG.spaces)
    LOCATED = {
        name: kind.locate(name, CONFIG.spaces[name], WEIGHTS)
        for name, kind in SPACE_KINDS.items()
    }
    GENERATOR = Painting(CONFIG, WEIGHTS)
    # network -> weights, of those that are named
    NETWORKS = network_weights.locate(
        CONFIG.evaluation.networks, CONFIG.evaluation.preset, WEIGHTS
    )
except InputError as error:
    raise WorkflowError(str(error)) from None

TREE = CONFIG.tree
# The same decoder under the other calibration, side by side with the configured one in scores and report.
RECALIBRATED = (
    "calibration_train"
    if CONFIG.ridge.calibration == "published"
    else "calibration_published"
)
SETS = CONFIG.regions.sets
SPACES = list(CONFIG.spaces)
# The space whose pictures are the base images, if any, and the one that says which pictures are alike.
BASE = CONFIG.base
ALIKE = space.similarity_space(CONFIG.spaces)
# The decoder, the control fitted on training pairs that do not belong together, the decoder under the other
# calibration. Names of files do not depend on the configuration: of a job that lacks one of its files Snakemake
# does not look whether its parameters have changed.
FITS = ["decoded", "shuffled", "recalibrated"]
CONTROL_TABLES = ["clusters", "leaks", "seeds"]
if GENERATOR.settings.two_stages:
    CONTROL_TABLES.append("single_stage")

# Whether features and weights go to, and come from, the cache that folders share (docs/cache.md).
CACHED = workflow.enable_cache
if CACHED:
    snakemake_internals.name_sources_by_digest()


# What people look at first is computed first: pictures, then the scores, then all further controls.
PICTURES, SCORES = 20, 10


# On a cluster these seconds are spent beside Snakemake: a job of their own would wait longer than it runs.
localrules:
    collect_reconstructions,
    comparison,
    figure_subject,
    quality_page,
    region_tests,
    score_tables,
    seeds,
    single_stage,
    strata,
    trials,
    voxels,


wildcard_constraints:
    subject="subj0[1-8]",
    stimuli="shared|subj0[1-8]",
    space="|".join(SPACES),
    session=r"\d\d",
    chunk=r"\d\d\d+",
