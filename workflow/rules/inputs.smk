# Which files, parameters and resources a job gets: functions of its wildcards.
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


GENERATOR_CONFIGS = weights.generator_configs(CONFIG.weights.versatile, WEIGHTS)
PAINTERS = weights.painters(CONFIG.weights.versatile, WEIGHTS, GENERATOR.parts)
UNCONDITIONAL = (
    "<results>/features/unconditional.h5" if GENERATOR.needs_contexts else []
)


def predicted(space):
    """The decoder's predictions of a space that guides the generator; nothing where it needs none."""
    path = f"<results>/ridge/{{subject}}/{space}/decoded.h5"
    return path if GENERATOR.needs_contexts else []


def control_files(wildcards):
    """What the control pictures are painted from: base images and contexts, as the generator needs them, of
    the decoder, its shuffled control and the true features."""
    files = {}
    for fit in ("decoded", "shuffled", "true_features"):
        if GENERATOR.needs_base:
            files[f"base_{fit}"] = f"<results>/base_images/{wildcards.subject}/{fit}.h5"
        for space in ("clip_vision", "clip_text") if GENERATOR.needs_contexts else ():
            files[f"{space}_{fit}"] = (
                feature_files(wildcards, space)
                if fit == "true_features"
                else f"<results>/ridge/{wildcards.subject}/{space}/{fit}.h5"
            )
    return files


def decoder_files(subject):
    """The decoders kept of a subject: none without ridge.keep."""
    names = ["responses", *SPACES] if CONFIG.ridge.keep else []
    return [f"<results>/decoders/{subject}/{name}.h5" for name in names]


def report_subjects(wildcards):
    """The subjects a report shows: one, or all."""
    return sorted(CONFIG.subjects) if wildcards.who == "all" else [wildcards.who]


def report_files(pattern, **values):
    """An input function for every subject of a report."""
    return lambda wildcards: expand(
        pattern, subject=report_subjects(wildcards), **values
    )
