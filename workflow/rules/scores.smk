rule scores:
    input:
        trials="<results>/trials/{subject}.parquet",
        data=data_files("pictures"),
        base=expand(
            "<results>/base_images/{{subject}}/{variant}.h5",
            variant=["true_features", "decoded", "shuffled", RECALIBRATED],
        ),
        final=expand(
            "<results>/reconstructions/{{subject}}/{variant}.h5",
            variant=["decoded", *PLAN.control_variants],
        ),
        baselines="<results>/baselines/{subject}.h5",
        predictions=expand(
            "<results>/ridge/{{subject}}/{space}/{variant}.h5",
            space=SPACES,
            variant=FITS,
        ),
        refits=expand(
            "<results>/ridge/{{subject}}/{space}/shuffled_refits.tsv", space=SPACES
        ),
        features=lambda wildcards: [
            path for space in SPACES for path in feature_files(wildcards, space)
        ],
        weights=ancient(model_files(*ENCODERS[:2])),
        networks=ancient(list(NETWORKS.values())),
        judge=[
            path
            for path in (CONFIG.evaluation.classifier, CONFIG.evaluation.scenes)
            if path
        ],
    output:
        images="<results>/scores/{subject}/images.parquet",
        summary="<results>/scores/{subject}/summary.tsv",
        tests="<results>/scores/{subject}/tests.tsv",
    priority: SCORES
    resources:
        gpu=1,
        mem_mb=growing(16000),
        runtime=growing(60),
    params:
        content=content_of(*model_files(*ENCODERS[:2]), *NETWORKS.values()),
        base_is_final=CONFIG.generator.kind == "base_only",
        data=data_state("pictures"),
        evaluation=lookup("evaluation", within=config),
        models=lambda wildcards: VERSATILE,
        networks=lambda wildcards: NETWORKS,
        seed=lookup("seed", within=config),
    script:
        "../scripts/scores.py"
