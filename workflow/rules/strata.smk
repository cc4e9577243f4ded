# Where decoding works and where not: by what the pictures show, and by the training image nearest to them.
# Without a source of content the strata are those by similarity alone.
if CONFIG.content_files:

    rule content:
        input:
            scenes=str(CONFIG.content_files.get("scenes", "")) or [],
            stimuli=str(CONFIG.content_files.get("stimulus table", "")) or [],
            annotations=[
                str(path)
                for name, path in CONFIG.content_files.items()
                if name.endswith("of COCO")
            ],
        output:
            content="<results>/content.parquet",
        resources:
            mem_mb=growing(3000),
            runtime=growing(20),
        script:
            "../scripts/content.py"


rule strata:
    input:
        content="<results>/content.parquet" if CONFIG.content_files else [],
        features=lambda wildcards: feature_files(wildcards, ALIKE),
        scores="<results>/scores/{subject}/images.parquet",
        trials="<results>/trials/{subject}.parquet",
    output:
        images="<results>/strata/{subject}.parquet",
        strata="<results>/strata/{subject}.tsv",
        trends="<results>/strata/{subject}_trends.tsv",
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        parts=lambda wildcards: SPACE_KINDS[ALIKE].summary,
        seed=lookup("seed", within=config),
    script:
        "../scripts/strata.py"
