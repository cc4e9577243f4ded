# Decoders that see the first components of the responses only: what these predict, and how good it is.
if BOTTLENECK:

    rule bottleneck_decoders:
        input:
            unpack(features_by_space),
            kernels=KERNELS,
            curves=expand("<results>/ridge/{{subject}}/{space}/alpha.tsv", space=SPACES),
        output:
            table="<results>/bottleneck/{subject}.tsv",
        threads: 8
        resources:
            gpu=1,
            mem_mb=growing_with_kernel(6000),
            runtime=growing(60),
        params:
            bottleneck=BOTTLENECK.model_dump(mode="json", exclude={"pictures"}),
            calibration=lookup("decoder/calibration", within=config),
            seed=lookup("seed", within=config),
            spaces=SPACES,
        script:
            "../../scripts/bottleneck_decoders.py"


if COMPONENTS:

    rule bottleneck_predictions:
        input:
            kernel=of_subject(kernel_of),
            features=feature_files,
            curve="<results>/ridge/{subject}/{space}/alpha.tsv",
        output:
            predictions=expand(
                "<results>/predictions/{{subject}}/{{space}}/{fit}.h5", fit=COMPONENTS
            ),
        threads: 8
        resources:
            gpu=1,
            mem_mb=growing_with_kernel(6000),
            runtime=growing(60),
        params:
            calibration=lookup("decoder/calibration", within=config),
            components=CONFIG.painted_components,
            seed=lookup("seed", within=config),
        script:
            "../../scripts/bottleneck_predictions.py"
