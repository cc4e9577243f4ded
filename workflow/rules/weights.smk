# Published weights that the configuration names and that are not there yet, one job per file. A file that is there
# has no rule: Snakemake deletes what a job is about to write, and no rerun may cost gigabytes.
MISSING = PLAN.missing_weights(WEIGHTS)
for one in recipes.modules(RECIPES):
    MISSING |= Plan(one.config).missing_weights(WEIGHTS)
if MAIN:
    for line in weights.terms(MISSING, WEIGHTS):
        logger.warning(f"to be fetched: {line}")


rule fetch_weights:
    output:
        weights=ensure(f"{weights.MODELS}/{{place}}", non_empty=True),
    wildcard_constraints:
        place=weights.pattern(MISSING, with_sha256=False),
    cache: CACHED
    retries: 3
    localrule: True
    resources:
        download=1,
        mem_mb=1000,
        runtime=240,
    params:
        download=lambda wildcards: weights.download(
            wildcards.place, WEIGHTS
        ).model_dump(),
    script:
        "../scripts/fetch_file.py"


use rule fetch_weights as fetch_weights_checked with:
    output:
        weights=ensure(
            f"{weights.MODELS}/{{place}}",
            sha256=lambda wildcards: MISSING[wildcards.place].sha256,
        ),
    wildcard_constraints:
        place=weights.pattern(MISSING, with_sha256=True),
