# Where decoding works and where not: by what the pictures show, by the training image nearest to them, and by how
# well the responses to them repeat.
# Without a source of content the strata are those by similarity alone.
if PLAN.knows_content and not SHARED:

    rule content:
        input:
            scenes=CONFIG.evaluation.scenes or [],
            data=[] if CONFIG.evaluation.scenes else data_files("content"),
        output:
            content="<results>/content.parquet",
        resources:
            mem_mb=growing(3000),
            runtime=growing(20),
        params:
            data=[] if CONFIG.evaluation.scenes else data_state("content"),
        script:
            "../scripts/content.py"


rule strata:
    input:
        content="<results>/content.parquet" if PLAN.knows_content else [],
        features=lambda wildcards: feature_files(wildcards, ALIKE),
        responses="<results>/responses/{subject}.h5",
        scores="<results>/scores/{subject}/images.parquet",
        trials="<results>/trials/{subject}.parquet",
    output:
        images="<results>/strata/{subject}.parquet",
        strata="<results>/strata/{subject}.tsv",
        trends="<results>/strata/{subject}_trends.tsv",
        ceilings="<results>/strata/{subject}_ceilings.tsv",
        ceiling_trends="<results>/strata/{subject}_ceiling_trends.tsv",
    localrule: True
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        parts=lambda wildcards: SPACE_KINDS[ALIKE].summary,
        seed=lookup("seed", within=config),
    script:
        "../scripts/strata.py"
