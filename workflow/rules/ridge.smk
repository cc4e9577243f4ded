rule ridge_alpha:
    input:
        responses="<results>/responses/{subject}.h5",
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
        mem_mb=8000,
        runtime=60,
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
        responses="<results>/responses/{subject}.h5",
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
        mem_mb=8000,
        runtime=60,
    params:
        calibration=lookup("ridge/calibration", within=config),
        folds=(
            config["ridge"]["cross_validation"]["folds"]
            if CONFIG.ridge.calibration == "train"
            else 2
        ),
        seed=lookup("seed", within=config),
    script:
        "../scripts/ridge_predict.py"
