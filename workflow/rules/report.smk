rule report:
    input:
        unpack(report_files),
        masks=report_masks,
        content="<results>/content.parquet" if CONFIG.content_files else [],
        stimuli=source(str(TREE.stimuli)),
    output:
        page=report(
            "<results>/report/{who}.html",
            caption="../report/report.rst",
            category="Reconstructions",
            labels={"subjects": "{who}"},
        ),
    wildcard_constraints:
        who="all|subj0[1-8]",
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        **sections(config),
        benchmarks=lambda wildcards: CONFIG.pathvars.get("benchmarks", "benchmarks"),
        content=content_of(TREE.stimuli),
        results=lambda wildcards: str(CONFIG.results),
        subjects=report_subjects,
    script:
        "../scripts/report.py"
