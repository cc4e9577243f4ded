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
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        alpha=lookup("ridge/alpha/{space}", within=config),
        cross_validation=lookup("ridge/cross_validation", within=config),
        seed=lookup("seed", within=config),
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
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        calibration=lookup("ridge/calibration", within=config),
        folds=lookup("ridge/cross_validation/folds", within=config),
        seed=lookup("seed", within=config),
    script:
        "../scripts/ridge_predict.py"
