# The prepared files that the configuration needs and that are not there yet, one job per file. A file that is there has
# no rule.
PREPARED = DATA.names(PLAN.missing())


rule fetch_prepared:
    output:
        file=ensure(str(DATA.folder / "{prepared}"), non_empty=True),
    wildcard_constraints:
        prepared="|".join(map(re.escape, PREPARED)) or "(?!)",
    retries: 3
    localrule: True
    resources:
        download=1,
        mem_mb=500,
        runtime=720,
    params:
        download=lambda wildcards: DATA.download(wildcards.prepared).model_dump(),
    script:
        "../../scripts/fetch_file.py"
