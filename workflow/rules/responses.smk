rule trials:
    input:
        unpack(split_files),
        design=source(str(TREE.expdesign)),
    output:
        trials="<results>/trials/{subject}.parquet",
    log:
        "<logs>/trials/{subject}.log",
    benchmark:
        "<benchmarks>/trials/{subject}.tsv"
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code_of("trials"),
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
    log:
        "<logs>/voxels/{subject}.log",
    benchmark:
        "<benchmarks>/voxels/{subject}.tsv"
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        atlases=lookup("nsd/atlases", within=config),
        code=code_of("voxels"),
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
    log:
        "<logs>/betas/{subject}_{session}.log",
    benchmark:
        "<benchmarks>/betas/{subject}_{session}.tsv"
    # before features: a damaged session is to show at once
    priority: PICTURES + 1
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code_of("betas"),
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
    log:
        "<logs>/responses/{subject}.log",
    benchmark:
        "<benchmarks>/responses/{subject}.tsv"
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(6000),
        runtime=growing(30),
    params:
        average=lookup("responses/average", within=config),
        code=code_of("responses"),
        zscore=lookup("responses/zscore", within=config),
    script:
        "../scripts/responses.py"
