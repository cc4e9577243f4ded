rule trials:
    input:
        unpack(split_files),
        data=data_files("trials"),
    output:
        trials="<results>/trials/{subject}.parquet",
    priority: PICTURES
    localrule: True
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        data=data_state("trials"),
        drawn=PLAN.drawn_split,
        sessions=lambda wildcards: CONFIG.sessions(wildcards.subject),
        tested=lambda wildcards: wildcards.subject in DECODED,
    script:
        "../scripts/trials.py"


rule voxels:
    input:
        data=data_files("voxels"),
    output:
        voxels="<results>/voxels/{subject}.parquet",
    priority: PICTURES
    localrule: True
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        data=data_state("voxels"),
    script:
        "../scripts/voxels.py"


rule betas:
    input:
        data=data_files("betas"),
        voxels="<results>/voxels/{subject}.parquet",
    output:
        betas="<results>/betas/{subject}/session{session}.h5",
    # before features: a damaged session is to show at once
    priority: PICTURES + 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        data=data_state("betas"),
    script:
        "../scripts/betas.py"


RESPONSE_PARTS = (
    ["grid", "noise_ceilings"]
    if CONFIG.responses.noise_ceiling == "ncsnr"
    else ["grid"]
)


rule responses:
    input:
        betas=session_files,
        data=data_files(*RESPONSE_PARTS),
        # sessions that do not agree stop this rule
        quality="<results>/quality/{subject}/sessions.tsv",
        trials="<results>/trials/{subject}.parquet",
        voxels="<results>/voxels/{subject}.parquet",
    output:
        responses="<results>/responses/{subject}.h5",
    priority: PICTURES
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        average=lookup("responses/average", within=config),
        data=data_state(*RESPONSE_PARTS),
        noise_ceiling=lookup("responses/noise_ceiling", within=config),
        zscore=lookup("responses/zscore", within=config),
    script:
        "../scripts/responses.py"


# The same with single trials to train on, for spaces that ask for them where others are trained on averages.
use rule responses as single_trials with:
    output:
        responses="<results>/single_trials/{subject}.h5",
    params:
        average=False,


# Likewise, each session z-scored by itself, for decoders that learn from several subjects.
use rule responses as session_trials with:
    output:
        responses="<results>/session_trials/{subject}.h5",
    params:
        average=False,
        zscore="session",
