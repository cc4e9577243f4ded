# Whether the responses can be trusted. What is wrong with a session stops the rule responses.
rule quality:
    input:
        betas=session_files,
        trials="<results>/trials/{subject}.parquet",
        voxels="<results>/voxels/{subject}.parquet",
        mask=str(TREE.mask("{subject}")),
    output:
        sessions="<results>/quality/{subject}/sessions.tsv",
        regions="<results>/quality/{subject}/regions.tsv",
        voxels="<results>/quality/{subject}/voxels.parquet",
        page=report(
            "<results>/quality/{subject}.html",
            caption="../report/quality.rst",
            category="Quality of the responses",
            labels={"subject": "{subject}"},
        ),
    log:
        "<logs>/quality/{subject}.log",
    benchmark:
        "<benchmarks>/quality/{subject}.tsv"
    priority: 10
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(20),
    params:
        code=code_of("quality"),
        demo=lambda wildcards: CONFIG.demo is not None,
        seed=lookup("seed", within=config),
    script:
        "../scripts/quality.py"
