import re
import shlex
import sys

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from neural_recon import coco, weights
from neural_recon.config import ANNOTATIONS, Config, resolve
from neural_recon.config_sections import SPACES, DataAmount
from neural_recon.errors import InputError
from neural_recon.nsd import mask_files
from neural_recon.plan import Plan

# Snakemake puts the interpreter's path into its shell commands unquoted: a folder with a space in its name
# would break every script.
if not sys.executable.startswith("'"):
    sys.executable = shlex.quote(sys.executable)

# A user's mistake in the configuration or the design ends here, in one sentence.
try:
    # the resolved configuration, defaults and recipe included, is what rules look their parameters up in
    config.update(resolve(config, Path(workflow.basedir)))
    CONFIG = Config.model_validate(config)
    PLAN = Plan(CONFIG)
    PLAN.check_files()
    if workflow.is_main_process:  # jobs come later, when the design is there
        PLAN.fetch_design()
    PLAN.check()
    WEIGHTS = weights.read_table(Path(workflow.basedir) / weights.TABLE)
    VDVAE = str(weights.locate("vdvae", CONFIG.weights.vdvae, WEIGHTS))
    VERSATILE = str(weights.locate("versatile", CONFIG.weights.versatile, WEIGHTS))
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


# On a cluster these seconds are spent beside Snakemake: a job of their own would wait longer than it runs.
localrules:
    collect_reconstructions,
    region_scores,
    trials,
    voxels,


wildcard_constraints:
    subject="subj0[1-8]",
    stimuli="shared|subj0[1-8]",
    space="|".join(SPACES),
    session=r"\d\d",
    chunk=r"\d\d\d+",


def growing(first):
    """A resource that doubles with every attempt: on a cluster, what ran out of memory or time asks for more."""
    return lambda wildcards, attempt: first * 2 ** (attempt - 1)


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


def painting_parameters():
    """What of the generator's settings changes a picture."""
    keys = ("strength", "mixing", "guidance_scale", "steps")
    return {key: config["generator"][key] for key in keys}


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


def announce_downloads(objects):
    """Say how many gigabytes of NSD are to be fetched, before a dry run and a run alike."""
    # boto3 takes long to import, and most runs have no use for it
    from neural_recon import bucket

    try:
        for line in bucket.summary(objects):
            logger.info(line)
    except InputError as error:
        raise WorkflowError(str(error)) from None
