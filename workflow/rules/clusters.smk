# Clusters of similar images, for split.name "clusters"; with another split nothing depends on them.
rule image_clusters:
    input:
        data=data_files("trials"),
        features=lambda wildcards: feature_files(wildcards, ALIKE),
    output:
        clusters="<results>/clusters/{subject}.tsv",
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        parts=lambda wildcards: SPACE_KINDS[ALIKE].summary,
        clusters=lookup("split/clusters", within=config),
        data=data_state("trials"),
        seed=lookup("seed", within=config),
        sessions=lambda wildcards: CONFIG.sessions(wildcards.subject),
    script:
        "../scripts/image_clusters.py"


rule clusters:
    input:
        expand("<results>/clusters/{subject}.tsv", subject=DECODED),
