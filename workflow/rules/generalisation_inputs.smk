# What is read of other sessions of the same people, and by what they are decoded.


def other_files(wildcards):
    """What is read of them: its age reruns nothing, `other_state` says what it holds."""
    files = PLAN.other_files(wildcards.other, wildcards.subject)
    return [ancient(str(path)) for path in files]


def sessions_and_pictures(wildcards):
    """The same, and the pictures of the run, as some of them trained the decoder."""
    return [*other_files(wildcards), *data_files("pictures")(wildcards)]


def other_state(wildcards):
    """What it holds, and what reads it."""
    data = CONFIG.other(wildcards.other)
    return [
        CODE.code(DATA_SETS.file(data.settings.kind)),
        data.settings.model_dump(mode="json"),
        *map(fingerprints.digest, PLAN.other_files(wildcards.other, wildcards.subject)),
    ]


def training_trials(wildcards):
    """The trials of all whose pictures a subject's decoder was trained on."""
    others = CONFIG.decoder.others(wildcards.subject, list(CONFIG.subjects))
    return [f"<results>/trials/{who}.parquet" for who in (wildcards.subject, *others)]


def kept_fits(wildcards):
    """Of each space the file of its voxels, its decoder and its control."""
    control = CONFIG.decoder.kept_control(SPACES)
    who = wildcards.subject
    return {
        space: [
            *(f"<results>/decoders/{who}/{name}" for name in CONFIG.kept_files[space]),
            f"<results>/{control[space].replace('{subject}', who)}",
        ]
        for space in SPACES
    }


def of_nobody():
    """Results of other sessions, below the results, of subjects who have none there."""
    return {
        f"generalisation/{other}/{subject}/{file}"
        for other in CONFIG.generalisation
        for subject in DECODED
        if subject not in CONFIG.people(other)
        for file in ("scores.tsv", "tests.tsv", "images.parquet", "decoded.h5")
    }


def other_pictures(subjects):
    """The pictures seen in other sessions, of those that a page shows."""
    files = [
        path
        for name in CONFIG.generalisation
        if set(CONFIG.people(name)) & set(subjects)
        for path in CONFIG.other(name).files("pictures")
    ]
    return [ancient(str(path)) for path in files]
