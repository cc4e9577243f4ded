# Whether the responses can be trusted. What is wrong with a session stops the rule responses.
rule quality:
    input:
        betas=session_files,
        trials="<results>/trials/{subject}.parquet",
        voxels="<results>/voxels/{subject}.parquet",
    output:
        sessions="<results>/quality/{subject}/sessions.tsv",
        regions="<results>/quality/{subject}/regions.tsv",
        voxels="<results>/quality/{subject}/voxels.parquet",
    log:
        "<logs>/quality/{subject}.log",
    benchmark:
        "<benchmarks>/quality/{subject}.tsv"
    priority: PICTURES + 1
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(20),
    params:
        code=code_of("quality"),
        seed=lookup("seed", within=config),
    script:
        "../scripts/quality.py"


# A rule of its own: another wording of the page reruns no responses.
rule quality_page:
    input:
        sessions="<results>/quality/{subject}/sessions.tsv",
        regions="<results>/quality/{subject}/regions.tsv",
        voxels="<results>/quality/{subject}/voxels.parquet",
        mask=str(TREE.mask("{subject}")),
    output:
        page=report(
            "<results>/quality/{subject}.html",
            caption="../report/quality.rst",
            category="Quality of the responses",
            labels={"subject": "{subject}"},
        ),
    log:
        "<logs>/quality_page/{subject}.log",
    benchmark:
        "<benchmarks>/quality_page/{subject}.tsv"
    # before responses, which wrong sessions stop
    priority: PICTURES + 1
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code_of("quality_page"),
        demo=lambda wildcards: CONFIG.demo is not None,
    script:
        "../scripts/quality_page.py"
