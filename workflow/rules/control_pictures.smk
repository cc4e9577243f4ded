# Pictures that stand beside the reconstructions: training images, and control images painted again.
rule baselines:
    input:
        trials="<results>/trials/{subject}.parquet",
        data=data_files("pictures"),
        predictions="<results>/ridge/{subject}/clip_vision/decoded.h5",
        features=lambda wildcards: feature_files(wildcards, "clip_vision"),
        # for the size of its pictures
        generator=ancient(GENERATOR_CONFIGS),
    output:
        images="<results>/baselines/{subject}.h5",
    priority: SCORES
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        content=content_of(*GENERATOR_CONFIGS),
        data=data_state("pictures"),
        models=lambda wildcards: VERSATILE,
        seed=lookup("seed", within=config),
    script:
        "../scripts/baselines.py"


# Base images of the controls: of the shuffled decoder, the other calibration, and the true features.
rule control_base_images:
    input:
        unpack(
            lambda wildcards: {
                "true_features": feature_files(wildcards, "vdvae"),
                "shuffled": f"<results>/ridge/{wildcards.subject}/vdvae/shuffled.h5",
                RECALIBRATED: f"<results>/ridge/{wildcards.subject}/vdvae/recalibrated.h5",
            }
        ),
        trials="<results>/trials/{subject}.parquet",
        weights=ancient(VDVAE),
        hparams=lookup("features/vdvae/hparams", within=config),
    output:
        images=expand(
            "<results>/base_images/{{subject}}/{variant}.h5",
            variant=["true_features", "shuffled", RECALIBRATED],
        ),
    priority: SCORES
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        content=content_of(VDVAE),
    script:
        "../scripts/base_images.py"


# The control images painted again: from the true features, with another image's contexts, from the shuffled
# decoder, as other draws of the decoder's own pictures, and from its contexts without a base image.
# One job per subject, since a model's loading takes longer than some pictures.
rule control_pictures:
    input:
        unpack(control_files),
        unconditional=UNCONDITIONAL,
        weights=ancient(PAINTERS),
    output:
        images=expand(
            "<results>/reconstructions/{{subject}}/{variant}.h5",
            variant=PLAN.control_variants,
        ),
    priority: SCORES
    resources:
        gpu=1,
        mem_mb=growing(12000),
        runtime=growing(360),
    params:
        content=content_of(*PAINTERS),
        generator=generators.changing(config["generator"]),
        models=lambda wildcards: VERSATILE,
        image_ids=lambda wildcards: PLAN.control_ids(wildcards.subject).tolist(),
        seed=lookup("seed", within=config),
    script:
        "../scripts/control_pictures.py"
