import re
import shlex
import sys

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from neural_recon import (
    coco,
    fingerprints,
    generators,
    output_cache,
    stages,
    weights,
)
from neural_recon.config import ANNOTATIONS, Config, resolve
from neural_recon.config_sections import SPACES, DataAmount
from neural_recon.errors import InputError
from neural_recon.nsd import mask_files
from neural_recon.plan import Plan

# Snakemake puts the interpreter's path into its shell commands unquoted: a folder with a space in its name
# would break every script.
if not sys.executable.startswith("'"):
    sys.executable = shlex.quote(sys.executable)

# The folder of this project, which is not that of a workflow that uses it as a module.
PROJECT = Path(workflow.current_basedir).parents[1]

# A user's mistake in the configuration or the design ends here, in one sentence.
try:
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
        PLAN.check_files()
        PLAN.fetch_design()
        PLAN.check()
    WEIGHTS = weights.read_table(PROJECT / weights.TABLE)
    VDVAE = str(weights.locate("vdvae", CONFIG.weights.vdvae, WEIGHTS))
    VERSATILE = str(weights.locate("versatile", CONFIG.weights.versatile, WEIGHTS))
    # network -> weights, of those that are named
    NETWORKS = weights.locate_networks(
        CONFIG.evaluation.networks.named, CONFIG.evaluation.preset, WEIGHTS
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
# The decoder, and the control fitted on training pairs that do not belong together.
PAIRS = ["decoded", "shuffled"]
# What the configured kind of generator needs.
GENERATOR = PLAN.generator
CONTROL_TABLES = ["clusters", "leaks", "seeds"]
if GENERATOR.two_stages():
    CONTROL_TABLES.append("single_stage")
# The parts of the Versatile Diffusion folder that encode pictures, then captions.
ENCODERS = ("image_encoder", "image_processor", "text_encoder", "tokenizer")

# Whether features and weights go to, and come from, the cache that folders share (docs/cache.md).
CACHED = workflow.enable_cache
if CACHED:
    output_cache.name_sources_by_digest()


# On a cluster these seconds are spent beside Snakemake: a job of their own would wait longer than it runs.
localrules:
    collect_reconstructions,
    comparison,
    figure_subject,
    region_scores,
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


def code_of(script):
    """What of the package's code a script runs, as a digest: a change reruns the rule (docs/reruns.md)."""
    path = PROJECT / f"workflow/scripts/{script}.py"
    # for the rules that a job asks for, not for all of them
    return lambda wildcards: stages.code(path)


def source(path):
    """A file of the tree as an input: its age reruns nothing, `content_of` says what it holds.

    The demo's are made by rules here, which pass on by age that they ran.
    """
    return path if CONFIG.demo is not None else ancient(path)


def content_of(*paths):
    """What some sources hold, as digests: another content reruns the rule, another age does not."""

    def digests(wildcards):
        places = [path(wildcards) if callable(path) else path for path in paths]
        return [fingerprints.digest(place) for place in places]

    return digests


def session_source(wildcards):
    """The file with the betas of one session."""
    form = CONFIG.subjects[wildcards.subject].format
    return str(TREE.betas(wildcards.subject, int(wildcards.session), form))


def growing(first):
    """A resource that doubles with every attempt: on a cluster, what ran out of memory or time asks for more."""
    return lambda wildcards, attempt: first * 2 ** (attempt - 1)


def stimuli_chunk(wildcards):
    """Which stimuli a job is about, as a parameter: the cache's keys do not count wildcards."""
    return [wildcards.stimuli, int(wildcards.chunk)]


def feature_files(wildcards, space=None):
    """The chunks with the features of a subject's images."""
    space = space or wildcards.space
    chunks = PLAN.feature_chunks(wildcards.subject)
    return [f"<results>/features/{space}/{chunk.name}.h5" for chunk in chunks]


def session_files(wildcards):
    """The betas of a subject's sessions, in order."""
    return [
        f"<results>/betas/{wildcards.subject}/session{session:02d}.h5"
        for session in CONFIG.sessions(wildcards.subject)
    ]


def split_files(wildcards):
    """The lists or clusters that a subject's split is read from."""
    files = PLAN.split_files(wildcards.subject)
    return {name: str(path) if path else [] for name, path in files.items()}


def model_files(*parts):
    """The files of some parts of the Versatile Diffusion folder: their change reruns what hangs on them."""
    return weights.model_files(CONFIG.weights.versatile, WEIGHTS, parts)


GENERATOR_CONFIGS = [
    path for path in model_files("image_unet", "vae") if path.endswith("config.json")
]


# What paints: the weights of the generator's parts, and what gives its pictures their size.
PAINTERS = list(dict.fromkeys([*model_files(*GENERATOR.parts), *GENERATOR_CONFIGS]))
UNCONDITIONAL = (
    "<results>/features/unconditional.h5" if GENERATOR.needs_contexts else []
)


def contexts_from(space):
    """Where the contexts of a variant come from: the decoder, or the pictures themselves; nothing where the
    generator needs none."""

    def files(wildcards):
        if not GENERATOR.needs_contexts:
            return []
        if wildcards.variant == "true_features":
            return feature_files(wildcards, space)
        return f"<results>/ridge/{wildcards.subject}/{space}/decoded.h5"

    return files


def base_image_file(wildcards):
    """Where the base images of a variant come from; nothing where the generator needs none."""
    variant = "true_features" if wildcards.variant == "true_features" else "decoded"
    path = f"<results>/base_images/{wildcards.subject}/{variant}.h5"
    return path if GENERATOR.needs_base else []


def both_pairs(pattern, needed):
    """The files of the decoder and of its shuffled control, where the generator needs them."""
    return expand(pattern, pairs=PAIRS, allow_missing=True) if needed else []


def picture_chunk(wildcards):
    """The NSD ids of a chunk of reconstructions."""
    ids = PLAN.picture_ids(wildcards.subject, wildcards.variant)
    start = int(wildcards.chunk) * CONFIG.generator.chunk
    return ids[start : start + CONFIG.generator.chunk].tolist()


def tree_parameters():
    """Where the tree lies, as plain values."""
    return {"root": TREE.root, "space": TREE.space, "preparation": TREE.preparation}


def cross_validated(space, value):
    """`value` where the penalty of a space is chosen by cross-validation, else nothing."""
    return value if CONFIG.ridge.alpha[space] == "cv" else None


def decoder_files(subject):
    """The decoders kept of a subject: none without ridge.keep."""
    names = ["responses", *SPACES] if CONFIG.ridge.keep else []
    return [f"<results>/decoders/{subject}/{name}.h5" for name in names]


def region_masks(wildcards):
    """The mask files among the regions of one set, or of all."""
    names = [SETS[wildcards.region]] if "region" in wildcards.keys() else SETS.values()
    return [
        path for some in names for path in mask_files(some, wildcards.subject).values()
    ]


def report_subjects(wildcards):
    """The subjects a report shows: one, or all."""
    return sorted(CONFIG.subjects) if wildcards.who == "all" else [wildcards.who]


def report_files(pattern, **values):
    """An input function for every subject of a report."""
    return lambda wildcards: expand(
        pattern, subject=report_subjects(wildcards), **values
    )


def report_masks(wildcards):
    """The masks of a report's subjects."""
    return [str(TREE.mask(subject)) for subject in report_subjects(wildcards)]


def announce_downloads(objects):
    """Say how many gigabytes of NSD are to be fetched, before a dry run and a run alike."""
    # boto3 takes long to import, and most runs have no use for it
    from neural_recon import bucket

    try:
        for line in bucket.summary(objects):
            logger.info(line)
    except InputError as error:
        raise WorkflowError(str(error)) from None
