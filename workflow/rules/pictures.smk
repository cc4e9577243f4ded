rule base_images:
    input:
        decoded="<results>/ridge/{subject}/vdvae/decoded.h5",
        trials="<results>/trials/{subject}.parquet",
        weights=ancient(VDVAE),
        hparams=lookup("features/vdvae/hparams", within=config),
    output:
        images=["<results>/base_images/{subject}/decoded.h5"],
    log:
        "<logs>/base_images/{subject}.log",
    benchmark:
        "<benchmarks>/base_images/{subject}.tsv"
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(20),
    params:
        code=code_of("base_images"),
        content=content_of(VDVAE),
    script:
        "../scripts/base_images.py"


rule reconstruct:
    input:
        base=(
            "<results>/base_images/{subject}/decoded.h5"
            if GENERATOR.needs_base
            else []
        ),
        vision=predicted("clip_vision"),
        text=predicted("clip_text"),
        unconditional=UNCONDITIONAL,
        weights=ancient(PAINTERS),
    output:
        images="<results>/reconstructions/{subject}/decoded_{chunk}.h5",
    log:
        "<logs>/reconstruct/{subject}_{chunk}.log",
    benchmark:
        "<benchmarks>/reconstruct/{subject}_{chunk}.tsv"
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
        mem_mb=growing(12000),
        runtime=growing(30),
    params:
        code=code_of("reconstruct"),
        content=content_of(*PAINTERS),
        generator=generators.changing(config["generator"]),
        models=lambda wildcards: VERSATILE,
        nsd_ids=lambda wildcards: PLAN.picture_ids(
            wildcards.subject, int(wildcards.chunk)
        ),
        seed=lookup("seed", within=config),
    script:
        "../scripts/reconstruct.py"


rule collect_reconstructions:
    input:
        chunks=lambda wildcards: [
            f"<results>/reconstructions/{wildcards.subject}/decoded_{chunk:03d}.h5"
            for chunk in PLAN.picture_chunks(wildcards.subject)
        ],
    output:
        images="<results>/reconstructions/{subject}/decoded.h5",
    log:
        "<logs>/collect_reconstructions/{subject}.log",
    benchmark:
        "<benchmarks>/collect_reconstructions/{subject}.tsv"
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("collect_reconstructions"),
    script:
        "../scripts/collect_reconstructions.py"


rule pictures:
    input:
        base="<results>/base_images/{subject}/decoded.h5",
        final="<results>/reconstructions/{subject}/decoded.h5",
        stimuli=source(str(TREE.stimuli)),
    output:
        folder=directory("<results>/pictures/{subject}"),
        sheet="<results>/pictures/{subject}.png",
    log:
        "<logs>/pictures/{subject}.log",
    benchmark:
        "<benchmarks>/pictures/{subject}.tsv"
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("pictures"),
        content=content_of(TREE.stimuli),
    script:
        "../scripts/pictures.py"
