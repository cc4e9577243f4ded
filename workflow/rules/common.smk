from snakemake.exceptions import WorkflowError

from neural_recon.model_folders import find_weights
from neural_recon.config import SPACES, Config, resolve
from neural_recon.errors import InputError
from neural_recon.plan import CONTROLS, Plan

# A user's mistake in the configuration or the design ends here, in one sentence.
try:
    # the resolved configuration, defaults and recipe included, is what rules look their parameters up in
    config.update(resolve(config, Path(workflow.basedir)))
    CONFIG = Config.model_validate(config)
    PLAN = Plan(CONFIG)
    for subject in CONFIG.subjects:
        PLAN.trials(subject)
except InputError as error:
    raise WorkflowError(str(error)) from None

TREE = CONFIG.tree


wildcard_constraints:
    subject="subj0[1-8]",
    stimuli="shared|subj0[1-8]",
    space="|".join(SPACES),
    session=r"\d\d",
    chunk=r"\d\d\d",


def feature_files(wildcards, space=None):
    """The chunks with the features of a subject's images."""
    space = space or wildcards.space
    chunks = PLAN.feature_chunks(wildcards.subject)
    return [f"<results>/features/{space}/{chunk.name}.h5" for chunk in chunks]


def model_file(folder, name):
    """The weights of a part of a model folder: their change reruns what hangs on them."""
    try:
        return str(find_weights(Path(folder) / name))
    except InputError:
        # not there yet: Snakemake names it where a target needs it
        return f"{folder}/{name}/model.safetensors"


def picture_chunk(wildcards):
    """The NSD ids of a chunk of reconstructions."""
    ids = PLAN.picture_ids(wildcards.subject, wildcards.variant)
    start = int(wildcards.chunk) * CONFIG.generator.chunk
    return ids[start : start + CONFIG.generator.chunk].tolist()


def tree_parameters():
    """Where the tree lies, as plain values."""
    return {"root": TREE.root, "space": TREE.space, "preparation": TREE.preparation}
