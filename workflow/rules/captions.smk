# Captions of the pictures by a captioning model, for data without their own (the section `captioner`).
if CONFIG.captioner:

    rule picture_captions:
        input:
            data=data_files("lists", "pictures"),
            weights=ancient(CAPTIONER_FILES),
        output:
            captions="<results>/captions/{stimuli}.tsv",
        priority: PICTURES
        threads: 8
        resources:
            gpu=1,
            mem_mb=growing_with(lambda wildcards: CAPTIONER_FILES, 4000),
            runtime=growing(240),
        params:
            captioner=lookup("captioner", within=config),
            content=content_of(*CAPTIONER_FILES),
            data=data_state("lists", "pictures"),
            folder=lambda wildcards: CAPTIONER,
        script:
            "../scripts/picture_captions.py"
