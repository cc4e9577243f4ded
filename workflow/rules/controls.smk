# The controls that are tables of their own. Others are variants of the rules they control: the shuffled decoder
# and the other calibration (ridge.smk), true features and swapped contexts (pictures.smk).
rule seeds:
    input:
        scores="<results>/scores/{subject}/images.parquet",
    output:
        table="<results>/controls/{subject}/seeds.tsv",
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    script:
        "../scripts/seeds.py"


rule single_stage:
    input:
        scores="<results>/scores/{subject}/images.parquet",
    output:
        table="<results>/controls/{subject}/single_stage.tsv",
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
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
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        calibration=lookup("ridge/calibration", within=config),
        alike=lambda wildcards: ALIKE,
        clusters=lookup("split/clusters/count", within=config),
        parts=lambda wildcards: SPACE_KINDS[ALIKE].summary,
        spaces=SPACES,
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
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        average=lookup("responses/average", within=config),
        calibration=lookup("ridge/calibration", within=config),
        cross_validation=lookup("ridge/cross_validation", within=config),
        spaces=SPACES,
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
