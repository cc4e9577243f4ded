# Which files, parameters and resources a job gets: functions of its wildcards.
def growing(first):
    """A resource that doubles with every attempt: on a cluster, what ran out of memory or time asks for more.

    `first` is a number, or a function of the wildcards.
    """
    return lambda wildcards, attempt: (
        (first(wildcards) if callable(first) else first) * 2 ** (attempt - 1)
    )


def growing_with(weights_of, rest):
    """Main memory in MB of a job that loads weights, growing."""
    return growing(
        lambda wildcards: memory_estimate.megabytes(
            weights_of(wildcards), WEIGHTS, rest
        )
    )


def stimuli_chunk(wildcards):
    """Which stimuli a job is about, as a parameter: the cache's keys do not count wildcards."""
    return [wildcards.stimuli, int(wildcards.chunk)]


def space_files(name):
    """What a space is loaded from."""
    return SPACE_KINDS[name].files(CONFIG.spaces[name], WEIGHTS) if name else []


def caption_files():
    """What captions as answers are encoded by."""
    named = ENCODER_KIND.files(ENCODER, WEIGHTS) if CAPTIONED and ENCODER else []
    return [*space_files(TEXT), *named]


def space_reads(wildcards):
    """What of the data set a space is computed from."""
    return "lists", SPACE_KINDS[wildcards.space].reads


def space_seed(wildcards):
    """The run's seed for spaces that draw; the others need none."""
    name = wildcards.space
    return config["seed"] if SPACE_KINDS[name].draws(CONFIG.spaces[name]) else 0


def code_of_space(name):
    """The digest of the module of a space's kind, which its script loads by name."""
    kind = CONFIG.spaces[name].kind if name else None
    return CODE.code(space.SPACES.file(kind)) if kind else ""


def feature_files(wildcards, space=None):
    """The chunks with the features of a subject's images."""
    space = space or wildcards.space
    folder = SHARED.features[space] if SHARED else Path("<results>/features", space)
    return [
        f"{folder}/{chunk.name}.h5" for chunk in PLAN.feature_chunks(wildcards.subject)
    ]


def features_by_space(wildcards):
    """The same of every space."""
    return {f"features_{space}": feature_files(wildcards, space) for space in SPACES}


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


def network_files(names):
    """The files that scoring by some networks reads, of those that are named in the configuration."""
    located = {name: path for name, path in NETWORKS.items() if name in names}
    return network_weights.files_read(CONFIG.evaluation.networks, located, WEIGHTS)


UNCONDITIONAL = "<results>/generator/unconditional.h5" if GENERATOR.encoders else []
# of the kind's module, which scripts load by its name
GENERATOR_CODE = CODE.code(GENERATORS.file(CONFIG.generator.kind))


def painted_from(*fits):
    """An input function: the base images and guides of some fits, as the generator needs them."""
    return lambda wildcards: GENERATOR.inputs(
        wildcards.subject,
        {name: feature_files(wildcards, name) for name in SPACES},
        *fits,
    )


def decoder_files(subject):
    """The decoders kept of a subject for new scans, where its kind keeps any and the configuration asks for it."""
    keep = "kept" in OFFERS and CONFIG.decoder.keep
    names = (
        [name for files in CONFIG.kept_files.values() for name in files] if keep else []
    )
    return [f"<results>/decoders/{subject}/{name}" for name in sorted(set(names))]


def report_subjects(wildcards):
    """The subjects a report shows: one, or all."""
    return sorted(DECODED) if wildcards.who == "all" else [wildcards.who]


def report_files(wildcards):
    """What a report shows of its subjects: the files that `neural_recon.report.files` lists."""
    subjects = report_subjects(wildcards)
    having = {
        "base": BASE,
        "bottleneck": BOTTLENECK,
        "bottleneck_pictures": COMPONENTS,
        # all subjects' scores: a page of one of several does not wait for them
        "comparison": subjects == sorted(DECODED),
        "data_amount": CONFIG.data_amount and "data_amount" in OFFERS,
        "generalisation": CONFIG.generalisation,
        "encoding": ENCODING,
        "regions": SETS,
        **dict.fromkeys(OFFERS & {"losses", "penalties", "refits", "targets"}, True),
    }
    files = report_list.wanted(
        subjects,
        [name for name, there in having.items() if there],
        {
            # other draws are not shown, only scored
            "control": [
                *(control.name for control in GENERATOR.controls if not control.draw),
                *PRIOR,
            ],
            "other": list(CONFIG.generalisation),
            "region": SETS if BASE else [],
            "space": SPACES,
            "table": CONTROL_TABLES,
        },
    )
    files = {
        name: [path for path in paths if path not in of_nobody()]
        for name, paths in files.items()
    }
    files = {
        name: [f"<results>/{path}" for path in paths] for name, paths in files.items()
    }
    return {**files, "others": other_pictures(subjects)}


def compared(path):
    """A result of every subject and recipe, recipe by recipe, as an input."""
    return [
        f"{recipe.config.results}/{path}".replace("{subject}", subject)
        for recipe in RECIPES
        for subject in DECODED
    ]


def compare_page(wildcards):
    """The page on all recipes, if the configuration names any."""
    recipes.check(RECIPES)
    return "<results>/compare/recipes.html"
