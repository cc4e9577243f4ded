# Which files, parameters and resources a job gets: functions of its wildcards.
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


def features_by_space(wildcards):
    """The same of every space, by its name."""
    return {space: feature_files(wildcards, space) for space in SPACES}


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


UNCONDITIONAL = "<results>/generator/unconditional.h5" if GENERATOR.encoders else []
# of the kind's module, which scripts load by its name
GENERATOR_CODE = CODE.module(GENERATORS.file(CONFIG.generator.kind))


def painted_from(*fits):
    """An input function: the base images and guides of some fits, as the generator needs them."""
    return lambda wildcards: GENERATOR.inputs(
        wildcards.subject, features_by_space(wildcards), *fits
    )


def tree_parameters():
    """Where the tree lies, as plain values."""
    return {"root": TREE.root, "space": TREE.space, "preparation": TREE.preparation}


def decoder_files(subject):
    """The decoders kept of a subject: none without ridge.keep."""
    names = ["responses", *SPACES] if CONFIG.ridge.keep else []
    return [f"<results>/decoders/{subject}/{name}.h5" for name in names]


def region_masks(wildcards):
    """The mask files among the regions of all sets."""
    return [
        path
        for names in SETS.values()
        for path in mask_files(names, wildcards.subject).values()
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
    from neural_recon.datasets.nsd import bucket

    try:
        for line in bucket.summary(objects):
            logger.info(line)
    except InputError as error:
        raise WorkflowError(str(error)) from None
