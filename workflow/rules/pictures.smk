rule base_images:
    input:
        decoded=f"<results>/predictions/{{subject}}/{BASE}/decoded.h5",
        trials="<results>/trials/{subject}.parquet",
        weights=ancient(space_files(BASE)),
    output:
        images=["<results>/base_images/{subject}/decoded.h5"],
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(20),
    params:
        content=content_of(*space_files(BASE)),
        kind=lambda wildcards: code_of_space(BASE),
        space=lambda wildcards: [BASE, LOCATED[BASE].model_dump()],
    script:
        "../scripts/base_images.py"


# What guides the generator where nothing does: `Generator.unconditional`.
if GENERATOR.encoders:

    rule unconditional:
        input:
            weights=ancient(GENERATOR.encoders),
        output:
            guides="<results>/generator/unconditional.h5",
        cache: CACHED
        priority: PICTURES
        resources:
            mem_mb=growing(8000),
            runtime=growing(10),
        params:
            content=content_of(*GENERATOR.encoders),
            generator=GENERATOR.model,
            generator_code=GENERATOR_CODE,
        script:
            "../scripts/unconditional.py"


rule reconstruct:
    input:
        unpack(painted_from("decoded")),
        unconditional=UNCONDITIONAL,
        weights=ancient(GENERATOR.files),
    output:
        images="<results>/reconstructions/{subject}/decoded_{chunk}.h5",
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with(lambda wildcards: GENERATOR.files, 8000),
        runtime=growing(30),
    params:
        content=content_of(*GENERATOR.files),
        generator=GENERATOR.settings.changing,
        generator_code=GENERATOR_CODE,
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
        captions=(
            "<results>/reconstructions/{subject}/captions.tsv"
            if GENERATOR.settings.captioned
            else []
        ),
        images="<results>/reconstructions/{subject}/decoded.h5",
    priority: PICTURES
    localrule: True
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    script:
        "../scripts/collect_reconstructions.py"


rule pictures:
    input:
        base="<results>/base_images/{subject}/decoded.h5" if BASE else [],
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


rule picture_sheet:
    input:
        final=expand("<results>/reconstructions/{subject}/decoded.h5", subject=DECODED),
        data=data_files("pictures"),
    output:
        sheet="<results>/pictures/all.png",
    priority: PICTURES
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        data=data_state("pictures"),
        recipe=config["recipe"],
        subjects=DECODED,
    script:
        "../scripts/picture_sheet.py"
