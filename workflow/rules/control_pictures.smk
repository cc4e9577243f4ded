# Pictures that are shown alongside the reconstructions: training images, and control images painted again.
rule baselines:
    input:
        trials="<results>/trials/{subject}.parquet",
        data=data_files("pictures"),
        predictions=f"<results>/predictions/{{subject}}/{ALIKE}/decoded.h5",
        features=lambda wildcards: feature_files(wildcards, ALIKE),
        # for the size of its pictures
        generator=ancient(GENERATOR.configs),
    output:
        images="<results>/baselines/{subject}.h5",
    priority: SCORES
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        # of base images, which the generator's may be of
        base_side=PLAN.feature_sizes(WEIGHTS)[1],
        content=content_of(*GENERATOR.configs),
        data=data_state("pictures"),
        generator=GENERATOR.model,
        generator_code=GENERATOR_CODE,
        seed=lookup("seed", within=config),
    script:
        "../scripts/baselines.py"


# Base images of the controls: of the decoder's other fits, and of the true features.
rule control_base_images:
    input:
        unpack(
            lambda wildcards: {
                "true_features": feature_files(wildcards, BASE),
                **{
                    fit: f"<results>/predictions/{wildcards.subject}/{BASE}/{fit}.h5"
                    for fit in FITS[1:]
                },
            }
        ),
        trials="<results>/trials/{subject}.parquet",
        weights=ancient(space_files(BASE)),
    output:
        images=expand(
            "<results>/base_images/{{subject}}/{fit}.h5",
            fit=["true_features", *FITS[1:]],
        ),
    priority: SCORES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        content=content_of(*space_files(BASE)),
        kind=lambda wildcards: code_of_space(BASE),
        space=lambda wildcards: [BASE, LOCATED[BASE].model_dump()],
    script:
        "../scripts/base_images.py"


# The control images painted again, as generation/controls.py lists.
# One job per subject, since a model's loading takes longer than some pictures.
rule control_pictures:
    input:
        unpack(painted_from(*GENERATOR.fits)),
        unconditional=UNCONDITIONAL,
        weights=ancient(GENERATOR.files),
    output:
        images=expand(
            "<results>/reconstructions/{{subject}}/{variant}.h5",
            variant=[control.name for control in GENERATOR.controls],
        ),
    priority: SCORES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with(lambda wildcards: GENERATOR.files, 8000),
        runtime=growing(360),
    params:
        content=content_of(*GENERATOR.files),
        generator=GENERATOR.settings.changing,
        generator_code=GENERATOR_CODE,
        image_ids=lambda wildcards: PLAN.control_ids(wildcards.subject).tolist(),
        seed=lookup("seed", within=config),
    script:
        "../scripts/control_pictures.py"


# The generator's prior alone: painted from what one would predict without any response.
if CONFIG.evaluation.prior:

    rule prior_features:
        input:
            trials="<results>/trials/{subject}.parquet",
            features=feature_files,
        output:
            predictions="<results>/predictions/{subject}/{space}/prior.h5",
        priority: SCORES
        resources:
            mem_mb=growing(4000),
            runtime=growing(30),
        params:
            image_ids=lambda wildcards: PLAN.control_ids(wildcards.subject).tolist(),
        script:
            "../scripts/prior_features.py"

    use rule control_base_images as prior_base_images with:
        input:
            prior=f"<results>/predictions/{{subject}}/{BASE}/prior.h5",
            trials="<results>/trials/{subject}.parquet",
            weights=ancient(space_files(BASE)),
        output:
            images=["<results>/base_images/{subject}/prior.h5"],

    use rule control_pictures as prior_pictures with:
        input:
            unpack(painted_from("prior")),
            unconditional=UNCONDITIONAL,
            weights=ancient(GENERATOR.files),
        output:
            images=["<results>/reconstructions/{subject}/prior.h5"],
