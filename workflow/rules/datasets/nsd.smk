# NSD's files that the configuration needs and that are not there yet, one job per file. A file that is there has no
# rule, so a tree of one's own is used where it lies and never written.
from neural_recon.datasets.nsd import coco

OBJECTS = DATA.objects(PLAN.missing())

if OBJECTS and workflow.is_main_process:
    # boto3 takes long to import, and most runs have no use for it
    from neural_recon.datasets.nsd import bucket

    try:
        for line in bucket.summary(OBJECTS):
            logger.info(line)
    except InputError as error:
        raise WorkflowError(str(error)) from None


rule fetch_nsd:
    output:
        file=ensure(str(DATA.folder / "{key}"), non_empty=True),
    wildcard_constraints:
        key="|".join(map(re.escape, OBJECTS)) or "(?!)",
    retries: 3
    localrule: True
    resources:
        download=1,
        mem_mb=500,
        runtime=720,
    script:
        "../../scripts/fetch_nsd.py"


if DATA.tree.captions in PLAN.missing():

    rule fetch_captions:
        output:
            captions=ensure(str(DATA.tree.captions), non_empty=True),
        retries: 3
        localrule: True
        resources:
            download=1,
            mem_mb=500,
            runtime=60,
        params:
            download=coco.CURATED.model_dump(),
        script:
            "../../scripts/fetch_file.py"
