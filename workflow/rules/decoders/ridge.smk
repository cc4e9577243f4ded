include: "ridge_inputs.smk"
include: "ridge_amount.smk"
include: "ridge_bottleneck.smk"
include: "ridge_controls.smk"
include: "ridge_regions.smk"


# The products of all responses with each other, which every space, fold, alpha and control is fitted from.
rule ridge_kernel:
    input:
        responses="<results>/responses/{subject}.h5",
        voxels=[],
        data=[],
    output:
        kernel="<results>/ridge/{subject}/kernel.h5",
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with_kernel(4000),
        runtime=growing(15),
    params:
        data=[],
        source=tuple(Source()),
    script:
        "../../scripts/ridge_kernel.py"


# The same for a space with voxels, trials or an intercept of its own, and all that share them.
use rule ridge_kernel as ridge_space_kernel with:
    input:
        responses=of_subject(trained_on),
        voxels="<results>/voxels/{subject}.parquet",
        data=data_files("grid", "regions"),
    output:
        kernel="<results>/ridge/{subject}/{space}/kernel.h5",
    params:
        data=data_state("grid", "regions"),
        source=lambda wildcards: tuple(SOURCES[wildcards.space]),


# A space's penalty and all that is predicted with it, from one reading of the kernel and the features.
rule ridge:
    input:
        kernel=of_subject(kernel_of),
        features=feature_files,
    output:
        curve="<results>/ridge/{subject}/{space}/alpha.tsv",
        predictions=expand(
            "<results>/predictions/{{subject}}/{{space}}/{fit}.h5", fit=FITS
        ),
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with_kernel(4000),
        runtime=growing(30),
    params:
        alpha=lookup("decoder/alpha/{space}", within=config),
        calibration=lookup("decoder/calibration", within=config),
        # a fixed alpha does not depend on it
        cross_validation=lambda wildcards: (
            config["decoder"]["cross_validation"]
            if CONFIG.decoder.alpha[wildcards.space] == "cv"
            else None
        ),
        seed=lookup("seed", within=config),
    script:
        "../../scripts/ridge.py"


# The null of a decoder's scores: refits of it on shuffled pairs, by the weights that it has.
rule shuffled_refits:
    input:
        unpack(features_by_space),
        kernels=KERNELS,
        curves=expand("<results>/ridge/{{subject}}/{space}/alpha.tsv", space=SPACES),
    output:
        tables=expand(
            "<results>/ridge/{{subject}}/{space}/shuffled_refits.tsv", space=SPACES
        ),
    priority: SCORES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with_kernel(4000),
        runtime=growing(60),
    params:
        calibration=lookup("decoder/calibration", within=config),
        refits=lookup("evaluation/shuffled_refits", within=config),
        seed=lookup("seed", within=config),
        retrieved=lambda wildcards: ALIKE,
        spaces=SPACES,
    script:
        "../../scripts/shuffled_refits.py"


# Decoders kept for new scans (decoder.keep, `neural-recon decode`): what a subject's spaces share, and each space's.
if CONFIG.decoder.keep:

    rule decoder_responses:
        input:
            responses="<results>/responses/{subject}.h5",
            kernel="<results>/ridge/{subject}/kernel.h5",
            voxels="<results>/voxels/{subject}.parquet",
            data=data_files("grid"),
        output:
            shared="<results>/decoders/{subject}/responses.h5",
        threads: 8
        resources:
            mem_mb=growing_with_kernel(6000),
            runtime=growing(60),
        params:
            data=data_state("grid"),
            keep=lookup("decoder/keep", within=config),
        script:
            "../../scripts/decoder_responses.py"

    use rule decoder_responses as decoder_space_responses with:
        input:
            responses=of_subject(trained_on),
            kernel="<results>/ridge/{subject}/{space}/kernel.h5",
            voxels="<results>/voxels/{subject}.parquet",
            data=data_files("grid"),
        output:
            shared="<results>/decoders/{subject}/{space}/responses.h5",

    rule ridge_decoder:
        input:
            shared=of_subject(kept_responses_of),
            responses=of_subject(trained_on),
            kernel=of_subject(kernel_of),
            features=feature_files,
            curve="<results>/ridge/{subject}/{space}/alpha.tsv",
        output:
            decoder="<results>/decoders/{subject}/{space}.h5",
        threads: 8
        resources:
            gpu=1,
            mem_mb=growing_with_kernel(6000),
            runtime=growing(60),
        params:
            calibration=lookup("decoder/calibration", within=config),
            # the error chooses components only
            keep_error=(
                config["decoder"]["keep_error"]
                if config["decoder"]["keep"] == "components"
                else None
            ),
            seed=lookup("seed", within=config),
            shuffled=False,
        script:
            "../../scripts/ridge_decoder.py"

    # Its control, for scores of other sessions (generalisation): the same penalty, on shuffled pairs.
    use rule ridge_decoder as shuffled_ridge_decoder with:
        output:
            decoder="<results>/decoders/{subject}/shuffled/{space}.h5",
        params:
            shuffled=True,
