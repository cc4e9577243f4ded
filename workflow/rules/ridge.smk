# The products of all responses with each other, which every space, fold, alpha and control is fitted from.
rule ridge_kernel:
    input:
        responses="<results>/responses/{subject}.h5",
    output:
        kernel="<results>/ridge/{subject}/kernel.h5",
    log:
        "<logs>/ridge_kernel/{subject}.log",
    benchmark:
        "<benchmarks>/ridge_kernel/{subject}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=6000,
        runtime=30,
    script:
        "../scripts/ridge_kernel.py"


rule ridge_alpha:
    input:
        kernel="<results>/ridge/{subject}/kernel.h5",
        features=feature_files,
    output:
        curve="<results>/ridge/{subject}/{space}/alpha.tsv",
    log:
        "<logs>/ridge_alpha/{subject}_{space}.log",
    benchmark:
        "<benchmarks>/ridge_alpha/{subject}_{space}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=6000,
        runtime=30,
    params:
        alpha=lookup("ridge/alpha/{space}", within=config),
        # a fixed alpha depends on neither
        cross_validation=lambda wildcards: cross_validated(
            wildcards.space, config["ridge"]["cross_validation"]
        ),
        seed=lambda wildcards: cross_validated(wildcards.space, config["seed"]),
    script:
        "../scripts/ridge_alpha.py"


rule ridge_predict:
    input:
        kernel="<results>/ridge/{subject}/kernel.h5",
        features=feature_files,
        curve="<results>/ridge/{subject}/{space}/alpha.tsv",
    output:
        predictions="<results>/ridge/{subject}/{space}/{pairs}.h5",
    log:
        "<logs>/ridge_predict/{subject}_{space}_{pairs}.log",
    benchmark:
        "<benchmarks>/ridge_predict/{subject}_{space}_{pairs}.tsv"
    wildcard_constraints:
        # decoded: the decoder; shuffled: the control, fitted on training pairs that do not belong together
        pairs="decoded|shuffled",
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=6000,
        runtime=30,
    params:
        calibration=lookup("ridge/calibration", within=config),
        seed=lookup("seed", within=config),
    script:
        "../scripts/ridge_predict.py"
