# All subjects' scores together, alongside published figures and other methods' pictures; the figures for papers.


rule score_tables:
    input:
        images=expand(
            "<results>/scores/{subject}/images.parquet",
            subject=sorted(DECODED),
        ),
        summaries=expand(
            "<results>/scores/{subject}/summary.tsv", subject=sorted(DECODED)
        ),
    output:
        expand(
            "<results>/scores/{table}.{suffix}",
            table=["images", "subjects", "summary"],
            suffix=["parquet", "tsv"],
        ),
    localrule: True
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    script:
        "../scripts/score_tables.py"


rule comparison:
    input:
        # what `neural-recon evaluate` wrote: another file there makes the table stale
        others=[str(path) for path in PLAN.other_scores()],
        responses=expand("<results>/responses/{subject}.h5", subject=sorted(DECODED)),
        summaries=expand(
            "<results>/scores/{subject}/summary.tsv", subject=sorted(DECODED)
        ),
    output:
        numbers="<results>/scores/comparison.parquet",
        table="<results>/scores/comparison.tsv",
    localrule: True
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        preset=lookup("evaluation/preset", within=config),
        recipe=lookup("recipe", within=config),
        sessions={subject: len(CONFIG.sessions(subject)) for subject in sorted(DECODED)},
        simulated=CONFIG.demo is not None,
    script:
        "../scripts/comparison.py"


rule figure_subject:
    input:
        # a stage of the final image, or no part of the figure
        base=(
            "<results>/base_images/{subject}/decoded.h5"
            if GENERATOR.settings.two_stages
            else []
        ),
        final="<results>/reconstructions/{subject}/decoded.h5",
        true_features="<results>/reconstructions/{subject}/true_features.h5",
        scores="<results>/scores/{subject}/images.parquet",
        data=data_files("pictures"),
    output:
        pdf="<results>/figures/{subject}.pdf",
        png="<results>/figures/{subject}.png",
        text="<results>/figures/{subject}.txt",
    localrule: True
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        data=data_state("pictures"),
        figure={
            **config["figure"],
            "score": CONFIG.figure_score,
            "otherwise": None if CONFIG.figure.score else CONFIG.metrics[0],
        },
        preset=lookup("evaluation/preset", within=config),
        simulated=CONFIG.demo is not None,
    script:
        "../scripts/figure.py"


# the figures alone: snakemake --cores 2 figure
rule figure:
    input:
        expand("<results>/figures/{subject}.png", subject=DECODED),
