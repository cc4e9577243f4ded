# Recipes on the same responses, in one table and one gallery: snakemake compare --config recipes='[one, two]'
# Every recipe but the configuration's own is this workflow again, as a module (docs/comparing.md).
for recipe in recipes.modules(RECIPES):
    module_name = f"{recipe.name}{snakemake_internals.SEPARATOR}"
    snakemake_internals.extend_settings(workflow, module_name)

    module:
        name: module_name
        snakefile:
            str(PROJECT / "Snakefile")
        config:
            recipe.module
        replace_prefix:
            recipe.moved

    use rule * from module_name as module_name*


rule recipes:
    input:
        data=data_files("pictures"),
        final=compared("reconstructions/{subject}/decoded.h5"),
        images=compared("scores/{subject}/images.parquet"),
        responses=expand("<results>/responses/{subject}.h5", subject=DECODED),
        summaries=compared("scores/{subject}/summary.tsv"),
    output:
        page="<results>/compare/recipes.html",
        scores="<results>/compare/scores.tsv",
        tests="<results>/compare/tests.tsv",
        images="<results>/compare/images.tsv",
    localrule: True
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        about={recipe.name: recipe.about for recipe in RECIPES},
        data=data_state("pictures"),
        preset=lookup("evaluation/preset", within=config),
        recipes=[recipe.name for recipe in RECIPES],
        seed=lookup("seed", within=config),
        simulated=CONFIG.demo is not None,
        subjects=DECODED,
    script:
        "../scripts/recipes.py"


rule compare:
    input:
        compare_page,
