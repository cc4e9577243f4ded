from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


if "recipe" not in config:

    configfile: "config/demo.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/digests.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/features.smk"


# Data and responses are the same for all recipes of a comparison.
if not SHARED:

    include: "workflow/rules/weights.smk"
    include: "workflow/rules/demo.smk"
    include: "workflow/rules/quality.smk"
    include: "workflow/rules/responses.smk"
    include: "workflow/rules/captions.smk"
    include: "workflow/rules/clusters.smk"

    if DATA_RULES.is_file():

        include: str(DATA_RULES)


include: str(DECODER_RULES)
include: "workflow/rules/pictures.smk"
include: "workflow/rules/control_pictures.smk"
include: "workflow/rules/bottleneck.smk"
include: "workflow/rules/controls.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/strata.smk"
include: "workflow/rules/generalisation.smk"
include: "workflow/rules/encoding.smk"
include: "workflow/rules/comparison.smk"
include: "workflow/rules/report.smk"


if not SHARED:

    include: "workflow/rules/compare.smk"

    # all downloads and nothing else: snakemake --configfile config/nsd.yaml --cores 4 fetch
    rule fetch:
        input:
            [str(path) for path in PLAN.missing()],
            [f"{weights.MODELS}/{place}" for place in MISSING],


rule_defaults.complete(workflow, PROJECT, untimed=["report"], code=CODE.code)

if MAIN:
    terminal.say_the_end(
        workflow, {"fetch": f"data in {DATA.folder}, weights in {weights.MODELS}"}
    )


rule all:
    default_target: True
    input:
        "<results>/report/all.html",
        expand("<results>/pictures/{subject}", subject=DECODED),
        "<results>/pictures/all.png",
        expand("<results>/figures/{subject}.png", subject=DECODED),
        "<results>/scores/summary.tsv",
        [decoder_files(subject) for subject in DECODED],


# one target a subject: snakemake --cores 2 subj01
for who in CONFIG.subjects:

    rule:
        name:
            who
        input:
            f"<results>/report/{who}.html",
            f"<results>/pictures/{who}",
            f"<results>/figures/{who}.png",
            decoder_files(who),
