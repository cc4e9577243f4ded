rule trials:
    input:
        unpack(split_files),
        design=source(str(TREE.expdesign)),
    output:
        trials="<results>/trials/{subject}.parquet",
    priority: PICTURES
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        content=content_of(TREE.expdesign),
        sessions=lambda wildcards: CONFIG.sessions(wildcards.subject),
    script:
        "../scripts/trials.py"


rule voxels:
    input:
        mask=str(TREE.mask("{subject}")),
        atlases=[str(TREE.roi("{subject}", atlas)) for atlas in CONFIG.nsd.atlases],
        region_masks=lambda wildcards: list(
            mask_files(CONFIG.nsd.regions, wildcards.subject).values()
        ),
    output:
        voxels="<results>/voxels/{subject}.parquet",
    priority: PICTURES
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        atlases=lookup("nsd/atlases", within=config),
        regions=lookup("nsd/regions", within=config),
    script:
        "../scripts/voxels.py"


rule betas:
    input:
        betas=source(session_source),
        mask=str(TREE.mask("{subject}")),
        voxels="<results>/voxels/{subject}.parquet",
    output:
        betas="<results>/betas/{subject}/session{session}.h5",
    # before features: a damaged session is to show at once
    priority: PICTURES + 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        content=content_of(session_source),
    script:
        "../scripts/betas.py"


rule responses:
    input:
        betas=session_files,
        mask=str(TREE.mask("{subject}")),
        # sessions that do not agree stop this rule
        quality="<results>/quality/{subject}/sessions.tsv",
        trials="<results>/trials/{subject}.parquet",
        voxels="<results>/voxels/{subject}.parquet",
        ncsnr=(
            str(TREE.ncsnr("{subject}"))
            if CONFIG.responses.noise_ceiling == "ncsnr"
            else []
        ),
    output:
        responses="<results>/responses/{subject}.h5",
    priority: PICTURES
    resources:
        mem_mb=growing(6000),
        runtime=growing(30),
    params:
        average=lookup("responses/average", within=config),
        zscore=lookup("responses/zscore", within=config),
    script:
        "../scripts/responses.py"
