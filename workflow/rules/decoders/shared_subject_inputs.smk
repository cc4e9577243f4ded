# What the trainings of one network for several subjects read, and what they need of a machine.
from types import SimpleNamespace

from neural_recon.decoding.shared_subject import sizes

# subject -> those whose network its own starts from
OTHERS = CONFIG.decoder.pretrained(DECODED, list(CONFIG.subjects))
NETWORK = "<results>/decoders/{subject}/network.safetensors"


def others(wildcards):
    return OTHERS[wildcards.subject]


def own(wildcards):
    return [wildcards.subject]


def trained_on(subjects_of):
    """An input function: trials of some subjects and features of their images."""

    def files(wildcards):
        subjects = subjects_of(wildcards)
        return {
            "responses": [f"<results>/session_trials/{one}.h5" for one in subjects],
            "trials": [f"<results>/trials/{one}.parquet" for one in subjects],
            **{
                f"features_{space}_{k}": feature_files(
                    SimpleNamespace(subject=one), space
                )
                for k, one in enumerate(subjects)
                for space in SPACES
            },
        }

    return files


def needed(what, subjects_of, stage):
    """A resource of a training, by the sizes of network and data."""

    def first(wildcards):
        people = {
            one: (len(PLAN.trials(one)), DATA.n_voxels(one))
            for one in subjects_of(wildcards)
        }
        width = PLAN.feature_sizes(WEIGHTS)[0]
        return sizes.estimate(CONFIG.decoder, people, width, stage)[what]

    return first


def start_of(wildcards):
    """The trained network that a subject's starts from, if any; that of the control may be a published one."""
    if CONFIG.decoder.published:
        return NETWORK
    if wildcards.subject in OTHERS:
        return "<results>/shared_subject/{subject}/others.safetensors"
    return []


def published_content(wildcards):
    """What a published model holds, as a digest."""
    path = CONFIG.decoder.published.replace("{subject}", wildcards.subject)
    return content_of(path)(wildcards)


def loss_tables(wildcards):
    """The losses of a subject's trainings."""
    names = {
        "others": wildcards.subject in OTHERS,
        "decoded": not CONFIG.decoder.published,
        "shuffled": True,
    }
    return [
        f"<results>/shared_subject/{wildcards.subject}/{name}.tsv"
        for name, there in names.items()
        if there
    ]
