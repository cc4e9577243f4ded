# The controls that are tables of their own, of any decoder. Others are variants of the rules they control: painted
# controls (control_pictures.smk), and what a decoder's kind brings (decoders/).
rule draws:
    input:
        scores="<results>/scores/{subject}/images.parquet",
    output:
        table="<results>/controls/{subject}/seeds.tsv",
    localrule: True
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    script:
        "../scripts/draws.py"


rule single_stage:
    input:
        scores="<results>/scores/{subject}/images.parquet",
    output:
        table="<results>/controls/{subject}/single_stage.tsv",
    localrule: True
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        seed=lookup("seed", within=config),
    script:
        "../scripts/single_stage.py"


# all of them by themselves: snakemake controls
rule controls:
    input:
        expand(
            "<results>/controls/{subject}/{table}.tsv",
            subject=DECODED,
            table=CONTROL_TABLES,
        ),
