# Clusters of similar images, for split.name "clusters"; with another split nothing depends on them.
rule image_clusters:
    input:
        design=source(str(TREE.expdesign)),
        features=lambda wildcards: feature_files(wildcards, ALIKE),
    output:
        clusters="<results>/clusters/{subject}.tsv",
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        parts=lambda wildcards: SPACE_KINDS[ALIKE].summary,
        clusters=lookup("split/clusters", within=config),
        content=content_of(TREE.expdesign),
        seed=lookup("seed", within=config),
        sessions=lambda wildcards: CONFIG.sessions(wildcards.subject),
    script:
        "../scripts/image_clusters.py"


rule clusters:
    input:
        expand("<results>/clusters/{subject}.tsv", subject=CONFIG.subjects),
