rule report:
    input:
        scores=report_files(
            "<results>/scores/{subject}/{table}",
            table=["images.parquet", "summary.tsv", "tests.tsv"],
        ),
        curves=report_files("<results>/ridge/{subject}/{space}/alpha.tsv", space=SPACES),
        refits=report_files(
            "<results>/ridge/{subject}/{space}/shuffled_refits.tsv", space=SPACES
        ),
        targets=report_files("<results>/targets/{subject}/{space}.tsv", space=SPACES),
        data_amount=(
            report_files("<results>/data_amount/{subject}.tsv")
            if CONFIG.data_amount
            else []
        ),
        quality=report_files(
            "<results>/quality/{subject}/{table}",
            table=["sessions.tsv", "voxels.parquet"],
        ),
        data=data_files("pictures", "cortex"),
        quality_pages=report_files("<results>/quality/{subject}.html"),
        responses=report_files("<results>/responses/{subject}.h5"),
        voxels=report_files("<results>/voxels/{subject}.parquet"),
        base=report_files("<results>/base_images/{subject}/decoded.h5"),
        final=report_files(
            "<results>/reconstructions/{subject}/{variant}.h5",
            variant=["decoded", *PLAN.control_variants],
        ),
        baselines=report_files("<results>/baselines/{subject}.h5"),
        controls=report_files(
            "<results>/controls/{subject}/{table}.tsv", table=CONTROL_TABLES
        ),
        regions=report_files(
            "<results>/regions/{subject}/{file}",
            file=(
                [
                    "scores.tsv",
                    "strata.tsv",
                    "synthetic.tsv",
                    "synthetic.h5",
                    "synthetic_features.h5",
                    "tests.tsv",
                ]
                if SETS
                else []
            ),
        ),
        region_images=report_files(
            "<results>/regions/{subject}/{region}/base_images.h5", region=SETS
        ),
        content="<results>/content.parquet" if PLAN.knows_content else [],
        strata=report_files(
            "<results>/strata/{subject}{table}.tsv", table=["", "_trends"]
        ),
        # all subjects' scores: a page of one of several does not wait for them
        comparison=lambda wildcards: (
            ["<results>/scores/comparison.parquet"]
            if report_subjects(wildcards) == sorted(CONFIG.subjects)
            else []
        ),
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
