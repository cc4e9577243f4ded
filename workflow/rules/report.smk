rule report:
    input:
        unpack(report_files),
        content="<results>/content.parquet" if PLAN.knows_content else [],
        data=data_files("pictures", "cortex"),
    output:
        page=report(
            "<results>/report/{who}.html",
            caption="../report/report.rst",
            category="Reconstructions",
            labels={"subjects": "{who}"},
        ),
    wildcard_constraints:
        who="|".join(["all", *CONFIG.subjects]),
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        **sections(config),
        benchmarks=lambda wildcards: CONFIG.pathvars.get("benchmarks", "benchmarks"),
        data=data_state("pictures", "cortex"),
        results=lambda wildcards: str(CONFIG.results),
        subjects=report_subjects,
    script:
        "../scripts/report.py"
