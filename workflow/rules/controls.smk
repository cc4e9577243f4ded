# The controls that are tables of their own. Others are variants of the rules they control: the shuffled decoder
# and the other calibration (ridge.smk), true features and swapped contexts (pictures.smk).
rule seeds:
    input:
        scores="<results>/scores/{subject}/images.parquet",
    output:
        table="<results>/controls/{subject}/seeds.tsv",
    log:
        "<logs>/seeds/{subject}.log",
    benchmark:
        "<benchmarks>/seeds/{subject}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code_of("seeds"),
    script:
        "../scripts/seeds.py"


rule single_stage:
    input:
        scores="<results>/scores/{subject}/images.parquet",
    output:
        table="<results>/controls/{subject}/single_stage.tsv",
    log:
        "<logs>/single_stage/{subject}.log",
    benchmark:
        "<benchmarks>/single_stage/{subject}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code_of("single_stage"),
        seed=lookup("seed", within=config),
    script:
        "../scripts/single_stage.py"


rule held_out_clusters:
    input:
        unpack(features_by_space),
        kernel="<results>/ridge/{subject}/kernel.h5",
        curves=expand("<results>/ridge/{{subject}}/{space}/alpha.tsv", space=SPACES),
    output:
        table="<results>/controls/{subject}/clusters.tsv",
    log:
        "<logs>/held_out_clusters/{subject}.log",
    benchmark:
        "<benchmarks>/held_out_clusters/{subject}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        code=code_of("held_out_clusters"),
        calibration=lookup("ridge/calibration", within=config),
        clusters=lookup("split/clusters/count", within=config),
        seed=lookup("seed", within=config),
    script:
        "../scripts/held_out_clusters.py"


rule leaks:
    input:
        unpack(features_by_space),
        baselines="<results>/baselines/{subject}.h5",
        betas=session_files,
        curves=expand("<results>/ridge/{{subject}}/{space}/alpha.tsv", space=SPACES),
        predictions=expand(
            "<results>/ridge/{{subject}}/{space}/decoded.h5", space=SPACES
        ),
        shuffled=expand("<results>/ridge/{{subject}}/{space}/shuffled.h5", space=SPACES),
        responses="<results>/responses/{subject}.h5",
        trials="<results>/trials/{subject}.parquet",
        voxels="<results>/voxels/{subject}.parquet",
    output:
        table="<results>/controls/{subject}/leaks.tsv",
    log:
        "<logs>/leaks/{subject}.log",
    benchmark:
        "<benchmarks>/leaks/{subject}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        average=lookup("responses/average", within=config),
        code=code_of("leaks"),
        calibration=lookup("ridge/calibration", within=config),
        cross_validation=lookup("ridge/cross_validation", within=config),
        seed=lookup("seed", within=config),
        zscore=lookup("responses/zscore", within=config),
    script:
        "../scripts/leaks.py"


# all of them by themselves: snakemake controls
rule controls:
    input:
        expand(
            "<results>/controls/{subject}/{table}.tsv",
            subject=CONFIG.subjects,
            table=CONTROL_TABLES,
        ),
