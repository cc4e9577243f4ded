# Whether a decoder lives on near twins of the test images, and whether anything of the test set is in it.
rule held_out_clusters:
    input:
        unpack(features_by_space),
        kernels=KERNELS,
        curves=expand("<results>/ridge/{{subject}}/{space}/alpha.tsv", space=SPACES),
    output:
        table="<results>/controls/{subject}/clusters.tsv",
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with_kernel(4000),
        runtime=growing(60),
    params:
        calibration=lookup("decoder/calibration", within=config),
        alike=lambda wildcards: ALIKE,
        clusters=lookup("split/clusters/count", within=config),
        parts=lambda wildcards: SPACE_KINDS[ALIKE].summary,
        spaces=SPACES,
        seed=lookup("seed", within=config),
    script:
        "../../scripts/held_out_clusters.py"


rule leaks:
    input:
        unpack(features_by_space),
        baselines="<results>/baselines/{subject}.h5",
        betas=session_files,
        curves=expand("<results>/ridge/{{subject}}/{space}/alpha.tsv", space=SPACES),
        predictions=expand(
            "<results>/predictions/{{subject}}/{space}/decoded.h5", space=SPACES
        ),
        shuffled=expand(
            "<results>/predictions/{{subject}}/{space}/shuffled.h5", space=SPACES
        ),
        kernels=KERNELS,
        responses=TRAINED_ON,
        trials="<results>/trials/{subject}.parquet",
        voxels="<results>/voxels/{subject}.parquet",
    output:
        table="<results>/controls/{subject}/leaks.tsv",
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with_kernel(6000),
        runtime=growing(60),
    params:
        calibration=lookup("decoder/calibration", within=config),
        cross_validation=lookup("decoder/cross_validation", within=config),
        spaces=SPACES,
        seed=lookup("seed", within=config),
        zscore=lookup("responses/zscore", within=config),
    script:
        "../../scripts/leaks.py"
