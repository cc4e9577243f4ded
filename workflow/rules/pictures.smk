rule base_images:
    input:
        latents=lambda wildcards: (
            feature_files(wildcards, "vdvae")
            if wildcards.variant == "true_features"
            else "<results>/ridge/{subject}/vdvae/{variant}.h5"
        ),
        trials="<results>/trials/{subject}.parquet",
        weights=ancient(VDVAE),
        hparams=lookup("features/vdvae/hparams", within=config),
    output:
        images="<results>/base_images/{subject}/{variant}.h5",
    log:
        "<logs>/base_images/{subject}_{variant}.log",
    benchmark:
        "<benchmarks>/base_images/{subject}_{variant}.tsv"
    wildcard_constraints:
        # what the latents come from: the decoder (also under the other calibration), the control fitted on
        # shuffled pairs, the picture itself
        variant="decoded|shuffled|true_features|calibration_train|calibration_published",
    priority: by_fit
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
        base=base_image_file,
        vision=contexts_from("clip_vision"),
        text=contexts_from("clip_text"),
        unconditional=UNCONDITIONAL,
        weights=ancient(PAINTERS),
    output:
        images="<results>/reconstructions/{subject}/{variant}_{chunk}.h5",
    log:
        "<logs>/reconstruct/{subject}_{variant}_{chunk}.log",
    benchmark:
        "<benchmarks>/reconstruct/{subject}_{variant}_{chunk}.tsv"
    wildcard_constraints:
        # swapped: the image's own base, another image's contexts
        variant="decoded|true_features|swapped",
    priority: by_fit
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
        control_ids=lambda wildcards: (
            PLAN.control_ids(wildcards.subject).tolist()
            if wildcards.variant == "swapped"
            else []
        ),
        nsd_ids=picture_chunk,
        seed=lookup("seed", within=config),
    script:
        "../scripts/reconstruct.py"


rule collect_reconstructions:
    input:
        chunks=lambda wildcards: [
            f"<results>/reconstructions/{wildcards.subject}/{wildcards.variant}_{chunk:03d}.h5"
            for chunk in PLAN.picture_chunks(wildcards.subject, wildcards.variant)
        ],
    output:
        images="<results>/reconstructions/{subject}/{variant}.h5",
    log:
        "<logs>/collect_reconstructions/{subject}_{variant}.log",
    benchmark:
        "<benchmarks>/collect_reconstructions/{subject}_{variant}.tsv"
    wildcard_constraints:
        variant="decoded|true_features|swapped",
    priority: by_fit
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
