# Which responses and kernel each space is predicted from (docs/stages/ridge.md).
# What each space is predicted from.
SOURCES = {
    space: CONFIG.decoder.source(space, CONFIG.responses.average) for space in SPACES
}


# whether any space is fitted on single trials
SINGLE = not CONFIG.responses.average or any(
    source.single for source in SOURCES.values()
)


def growing_with_kernel(rest):
    """Main memory in MB of a job that fits regressions, growing."""
    return growing(
        lambda wildcards: rest + PLAN.kernel_megabytes(wildcards.subject, SINGLE)
    )


def trained_on(space):
    """The responses that a space's decoder is trained on."""
    folder = CONFIG.decoder.responses_of(space, CONFIG.responses.average)
    return f"<results>/{folder}/{{subject}}.h5"


def kernel_of(space):
    """The kernel of a space, which spaces with the same options share."""
    return (
        f"<results>/ridge/{{subject}}/{shared_file(CONFIG.owners[space], 'kernel.h5')}"
    )


def kept_responses_of(space):
    """What the decoders kept of a space and of those with the same options share."""
    name = shared_file(CONFIG.owners[space], "responses.h5")
    return f"<results>/decoders/{{subject}}/{name}"


def of_subject(path_of):
    """An input function: the file that `path_of` names for a job's space."""
    return lambda wildcards: path_of(wildcards.space).format(subject=wildcards.subject)


KERNELS = [kernel_of(space) for space in SPACES]
TRAINED_ON = [trained_on(space) for space in SPACES]
