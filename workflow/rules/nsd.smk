# NSD's files that the configuration needs and that are not there yet, one job a file. A file that is there has no
# rule, so a tree of one's own is used where it lies and never written.
OBJECTS = PLAN.missing_objects()

if OBJECTS and workflow.is_main_process:
    announce_downloads(OBJECTS)


rule fetch_nsd:
    output:
        file=ensure(str(Path(TREE.root) / "{key}"), non_empty=True),
    wildcard_constraints:
        key="|".join(map(re.escape, OBJECTS)) or "(?!)",
    retries: 3
    localrule: True
    resources:
        download=1,
        mem_mb=500,
        runtime=720,
    script:
        "../scripts/fetch_nsd.py"


if TREE.captions in PLAN.missing():

    rule fetch_captions:
        output:
            captions=ensure(str(TREE.captions), non_empty=True),
        retries: 3
        localrule: True
        resources:
            download=1,
            mem_mb=500,
            runtime=60,
        params:
            download=coco.CURATED.model_dump(),
        script:
            "../scripts/fetch_file.py"


if CONFIG.nsd.coco:

    rule captions:
        input:
            stimuli=str(TREE.stimulus_info),
            annotations=[f"{CONFIG.nsd.coco}/{name}" for name in ANNOTATIONS],
        output:
            captions="<results>/captions.npy",
        priority: PICTURES
        resources:
            mem_mb=growing(3000),
            runtime=growing(20),
        script:
            "../scripts/captions.py"
