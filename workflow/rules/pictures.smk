rule base_images:
    input:
        decoded="<results>/ridge/{subject}/vdvae/decoded.h5",
        trials="<results>/trials/{subject}.parquet",
        weights=ancient(VDVAE),
        hparams=lookup("features/vdvae/hparams", within=config),
    output:
        images=["<results>/base_images/{subject}/decoded.h5"],
    priority: PICTURES
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(20),
    params:
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
    priority: PICTURES
    resources:
        gpu=1,
        mem_mb=growing(12000),
        runtime=growing(30),
    params:
        content=content_of(*PAINTERS),
        generator=generators.changing(config["generator"]),
        models=lambda wildcards: VERSATILE,
        image_ids=lambda wildcards: PLAN.picture_ids(
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
    priority: PICTURES
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    script:
        "../scripts/collect_reconstructions.py"


rule pictures:
    input:
        base="<results>/base_images/{subject}/decoded.h5",
        final="<results>/reconstructions/{subject}/decoded.h5",
        data=data_files("pictures"),
    output:
        folder=directory("<results>/pictures/{subject}"),
        sheet="<results>/pictures/{subject}.png",
    priority: PICTURES
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        data=data_state("pictures"),
    script:
        "../scripts/pictures.py"
