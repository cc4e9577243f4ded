# Which features are decodable at all, and how much data that takes.
rule target_scores:
    input:
        unpack(features_by_space),
        kernels=KERNELS,
        responses=TRAINED_ON,
        curves=expand("<results>/ridge/{{subject}}/{space}/alpha.tsv", space=SPACES),
        predictions=expand(
            "<results>/predictions/{{subject}}/{space}/decoded.h5", space=SPACES
        ),
    output:
        targets=expand("<results>/targets/{{subject}}/{space}.parquet", space=SPACES),
        summaries=expand("<results>/targets/{{subject}}/{space}.tsv", space=SPACES),
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with_kernel(6000),
        runtime=growing(30),
    params:
        seed=lookup("seed", within=config),
        spaces=SPACES,
    script:
        "../../scripts/target_scores.py"


# what regions of a space's own are read from
OWN_REGIONS = (
    ["grid", "regions"] if any(source.regions for source in SOURCES.values()) else []
)


rule data_amount_subject:
    input:
        unpack(features_by_space),
        betas=session_files,
        quality="<results>/quality/{subject}/sessions.tsv",
        trials="<results>/trials/{subject}.parquet",
        voxels="<results>/voxels/{subject}.parquet",
        data=data_files(*OWN_REGIONS),
    output:
        curves="<results>/data_amount/{subject}.tsv",
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with_kernel(10000),
        runtime=growing(240),
    params:
        alpha=lookup("decoder/alpha", within=config),
        # without a section in the configuration: what a section without keys means
        amount=(CONFIG.data_amount or DataAmount()).model_dump(mode="json"),
        calibration=lookup("decoder/calibration", within=config),
        cross_validation=(
            config["decoder"]["cross_validation"]
            if "cv" in CONFIG.decoder.alpha.values()
            else None
        ),
        data=data_state(*OWN_REGIONS),
        responses={key: config["responses"][key] for key in ("average", "zscore")},
        seed=lookup("seed", within=config),
        sources={space: tuple(source) for space, source in SOURCES.items()},
    script:
        "../../scripts/data_amount.py"


rule data_amount:
    input:
        expand("<results>/data_amount/{subject}.tsv", subject=DECODED),
