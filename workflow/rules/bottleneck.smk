# Pictures of decoders that see the first components of the responses only (bottleneck.pictures), and their scores.
if COMPONENTS:

    use rule control_base_images as bottleneck_base_images with:
        input:
            unpack(
                lambda wildcards: {
                    fit: f"<results>/predictions/{wildcards.subject}/{BASE}/{fit}.h5"
                    for fit in COMPONENTS
                }
            ),
            trials="<results>/trials/{subject}.parquet",
            weights=ancient(space_files(BASE)),
        output:
            images=expand("<results>/base_images/{{subject}}/{fit}.h5", fit=COMPONENTS),

    use rule control_pictures as bottleneck_pictures with:
        input:
            unpack(painted_from(*COMPONENTS)),
            unconditional=UNCONDITIONAL,
            weights=ancient(GENERATOR.files),
        output:
            images=expand(
                "<results>/reconstructions/{{subject}}/{fit}.h5", fit=COMPONENTS
            ),

    rule bottleneck_scores:
        input:
            trials="<results>/trials/{subject}.parquet",
            data=data_files("pictures"),
            base=expand(
                "<results>/base_images/{{subject}}/{fit}.h5",
                fit=[*COMPONENTS, "decoded"] if BASE else [],
            ),
            final=expand(
                "<results>/reconstructions/{{subject}}/{fit}.h5",
                fit=(
                    [*COMPONENTS, "decoded"] if BOTTLENECK.pictures == "final" else []
                ),
            ),
            networks=ancient(network_files(NETWORKS)),
        output:
            table="<results>/bottleneck/{subject}_pictures.tsv",
        threads: 8
        resources:
            gpu=1,
            mem_mb=growing(16000),
            runtime=growing(60),
        params:
            content=content_of(*network_files(NETWORKS)),
            data=data_state("pictures"),
            image_ids=lambda wildcards: PLAN.control_ids(wildcards.subject).tolist(),
            networks=lambda wildcards: NETWORKS,
            preset=lookup("evaluation/preset", within=config),
            repairings=lookup("evaluation/repairings", within=config),
            seed=lookup("seed", within=config),
        script:
            "../scripts/bottleneck_scores.py"
