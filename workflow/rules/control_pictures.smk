# Pictures that stand beside the reconstructions: training images, and control images painted again.
rule baselines:
    input:
        trials="<results>/trials/{subject}.parquet",
        stimuli=source(str(TREE.stimuli)),
        predictions="<results>/ridge/{subject}/clip_vision/decoded.h5",
        features=lambda wildcards: feature_files(wildcards, "clip_vision"),
        # for the size of its pictures
        generator=ancient(GENERATOR_CONFIGS),
    output:
        images="<results>/baselines/{subject}.h5",
    log:
        "<logs>/baselines/{subject}.log",
    benchmark:
        "<benchmarks>/baselines/{subject}.tsv"
    priority: SCORES
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=code_of("baselines"),
        content=content_of(TREE.stimuli, *GENERATOR_CONFIGS),
        models=lambda wildcards: VERSATILE,
        seed=lookup("seed", within=config),
    script:
        "../scripts/baselines.py"


# The control images painted again: from the shuffled decoder, as other draws of the decoder's own pictures, and
# from its contexts without a base image.
# One job a subject, since a model's loading takes longer than some pictures.
rule control_pictures:
    input:
        base=both_pairs(
            "<results>/base_images/{subject}/{pairs}.h5", GENERATOR.needs_base
        ),
        vision=both_pairs(
            "<results>/ridge/{subject}/clip_vision/{pairs}.h5",
            GENERATOR.needs_contexts,
        ),
        text=both_pairs(
            "<results>/ridge/{subject}/clip_text/{pairs}.h5", GENERATOR.needs_contexts
        ),
        unconditional=UNCONDITIONAL,
        weights=ancient(PAINTERS),
    output:
        images=[
            f"<results>/reconstructions/{{subject}}/{variant}.h5"
            for variant in PLAN.control_variants
        ],
    log:
        "<logs>/control_pictures/{subject}.log",
    benchmark:
        "<benchmarks>/control_pictures/{subject}.tsv"
    priority: SCORES
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
        mem_mb=growing(12000),
        runtime=growing(240),
    params:
        code=code_of("control_pictures"),
        content=content_of(*PAINTERS),
        generator=generators.changing(config["generator"]),
        models=lambda wildcards: VERSATILE,
        nsd_ids=lambda wildcards: PLAN.control_ids(wildcards.subject).tolist(),
        seed=lookup("seed", within=config),
    script:
        "../scripts/control_pictures.py"
