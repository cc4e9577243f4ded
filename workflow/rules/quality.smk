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
    priority: PICTURES + 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(20),
    params:
        data=data_state(),
        seed=lookup("seed", within=config),
    script:
        "../scripts/quality.py"


# A rule of its own: another wording of the page reruns no responses.
rule quality_page:
    input:
        sessions="<results>/quality/{subject}/sessions.tsv",
        regions="<results>/quality/{subject}/regions.tsv",
        voxels="<results>/quality/{subject}/voxels.parquet",
        data=data_files("cortex"),
    output:
        page=report(
            "<results>/quality/{subject}.html",
            caption="../report/quality.rst",
            category="Quality of the responses",
            labels={"subject": "{subject}"},
        ),
    # before responses, which wrong sessions stop
    priority: PICTURES + 1
    localrule: True
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        data=data_state("cortex"),
        demo=lambda wildcards: CONFIG.demo is not None,
    script:
        "../scripts/quality_page.py"
