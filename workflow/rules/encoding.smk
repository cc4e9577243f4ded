# Whether pictures evoke the response: what encoding models, which the decoder has no part in, predict for them.
if ENCODING:

    rule encoding:
        input:
            base=expand(
                "<results>/base_images/{{subject}}/{fit}.h5",
                fit=(
                    ["decoded", "shuffled"]
                    if BASE and not GENERATOR.kind.base_is_final
                    else []
                ),
            ),
            data=data_files("pictures", "grid", "regions"),
            final=expand(
                "<results>/reconstructions/{{subject}}/{variant}.h5",
                variant=controls.FITS,
            ),
            responses="<results>/responses/{subject}.h5",
            voxels="<results>/voxels/{subject}.parquet",
            weights=ancient(ENCODING_FILES),
        output:
            scores="<results>/encoding/{subject}/scores.tsv",
            tests="<results>/encoding/{subject}/tests.tsv",
            voxels="<results>/encoding/{subject}/voxels.parquet",
        threads: 8
        resources:
            gpu=1,
            mem_mb=growing(
                lambda wildcards: PLAN.encoding_megabytes(wildcards.subject, ENCODING)
            ),
            runtime=growing(120),
        params:
            content=content_of(*ENCODING_FILES),
            data=data_state("pictures", "grid", "regions"),
            kind=CODE.code(space.SPACES.file(ENCODING.kind)),
            repairings=lookup("evaluation/repairings", within=config),
            seed=lookup("seed", within=config),
            sets=CONFIG.regions.sets,
            space=ENCODING.model_dump(),
        script:
            "../scripts/encoding.py"
