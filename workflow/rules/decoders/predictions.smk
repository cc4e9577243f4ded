# Of a decoder that brings no rules of its own: all fits of a space in one job.
rule predictions:
    input:
        responses="<results>/responses/{subject}.h5",
        features=feature_files,
    output:
        predictions=expand(
            "<results>/predictions/{{subject}}/{{space}}/{fit}.h5", fit=FITS
        ),
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        decoder=lookup("decoder", within=config),
        kind=CODE.code(DECODERS.file(CONFIG.decoder.kind)),
        seed=lookup("seed", within=config),
    script:
        "../../scripts/predictions.py"
