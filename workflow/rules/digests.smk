# What makes a job stale alongside its parameters and newer inputs: the code it runs, and what sources hold.
def data_files(*parts):
    """The files that some answers of the data set are read from, as an input: their age reruns nothing,
    `data_state` says what they hold.

    The demo's, and captions of a model, are made by rules here, which pass on by age that they ran.
    """

    def paths(wildcards):
        made = set(DATA.files("captions")) if CONFIG.captioner else set()
        return [
            str(path) if CONFIG.demo is not None or path in made else ancient(str(path))
            for path in PLAN.read_for(parts, wildcards)
        ]

    return paths


def data_state(*parts):
    """What these answers depend on, as digests: the code of the data set's kind, the settings it reads and what
    its files hold. Another content reruns the rule, another age does not."""

    def state(wildcards):
        return [
            CODE.code(DATA_SETS.file(CONFIG.dataset.kind)),
            {part: DATA.decisive(part) for part in parts},
            *map(fingerprints.digest, PLAN.read_for(parts, wildcards)),
        ]

    return state


def content_of(*paths):
    """What some sources hold, as digests: another content reruns the rule, another age does not."""
    return lambda wildcards: [fingerprints.digest(path) for path in paths]


def sections(settings):
    """The sections of a configuration as a parameter each: of a change Snakemake shows that section, not all."""
    return {
        f"config_{name}": lambda wildcards, section=section: section
        for name, section in settings.items()
    }
