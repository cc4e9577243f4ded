# What makes a job stale beside its parameters and newer inputs: the code it runs, and what sources hold.
CODE = kept_digests.KeptDigests(".snakemake", PROJECT / "workflow/scripts")


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


def sections(settings):
    """The sections of a configuration as a parameter each: of a change Snakemake shows that section, not all."""
    return {
        f"config_{name}": lambda wildcards, section=section: section
        for name, section in settings.items()
    }
