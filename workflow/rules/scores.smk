rule scores:
    input:
        trials="<results>/trials/{subject}.parquet",
        data=data_files("pictures"),
        base=expand(
            "<results>/base_images/{{subject}}/{fit}.h5",
            fit=["true_features", *FITS, *PRIOR] if BASE else [],
        ),
        final=expand(
            "<results>/reconstructions/{{subject}}/{variant}.h5",
            variant=[
                "decoded",
                *(control.name for control in GENERATOR.controls),
                *PRIOR,
            ],
        ),
        baselines="<results>/baselines/{subject}.h5",
        predictions=expand(
            "<results>/predictions/{{subject}}/{space}/{fit}.h5",
            space=SPACES,
            fit=FITS,
        ),
        refits=expand(
            "<results>/ridge/{{subject}}/{space}/shuffled_refits.tsv",
            space=SPACES if "refits" in OFFERS else [],
        ),
        features=lambda wildcards: [
            path for space in SPACES for path in feature_files(wildcards, space)
        ],
        captions=data_files("captions") if CAPTIONED else [],
        encoders=ancient(caption_files()),
        networks=ancient(network_files(NETWORKS)),
        judge=[
            path
            for path in (CONFIG.evaluation.classifier, CONFIG.evaluation.scenes)
            if path
        ],
    output:
        images="<results>/scores/{subject}/images.parquet",
        shares="<results>/scores/{subject}/shares.tsv",
        summary="<results>/scores/{subject}/summary.tsv",
        tests="<results>/scores/{subject}/tests.tsv",
        captions="<results>/scores/{subject}/captions.parquet",
    priority: SCORES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with(lambda wildcards: caption_files(), 16000),
        runtime=growing(60),
    params:
        base_is_final=GENERATOR.kind.base_is_final,
        caption_encoder=lambda wildcards: (
            LOCATED_ENCODER.model_dump() if LOCATED_ENCODER else None
        ),
        caption_kinds=lambda wildcards: [
            CODE.code(space.SPACES.file(settings.kind))
            for settings in (CONFIG.spaces[TEXT] if TEXT else None, ENCODER)
            if settings
        ],
        caption_space=lambda wildcards: (
            [TEXT, LOCATED[TEXT].model_dump()] if TEXT else None
        ),
        captions=data_state("captions") if CAPTIONED else [],
        content=content_of(*network_files(NETWORKS), *caption_files()),
        data=data_state("pictures"),
        evaluation={
            key: value
            for key, value in config["evaluation"].items()
            if key != "encoding"  # of other scores
        },
        networks=lambda wildcards: NETWORKS,
        retrieved=lambda wildcards: ALIKE,
        seed=lookup("seed", within=config),
        spaces=SPACES,
    script:
        "../scripts/scores.py"
