# The embedded data set: written in NSD's own formats, so that the demo runs the code that real data run.
if CONFIG.demo is not None:
    from neural_recon.datasets.nsd.nsd_tree import REGIONS

    TREE = DATA.tree
    PLACES = {
        "root": TREE.root,
        "space": TREE.space,
        "preparation": TREE.preparation,
    }

    rule demo_experiment:
        output:
            design=str(TREE.expdesign),
            captions=str(TREE.captions),
            scenes=f"{TREE.root}/annots/scenes.parquet",
        priority: PICTURES
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            demo=lookup("demo", within=config),
            tree=PLACES,
        script:
            "../scripts/demo_experiment.py"

    rule demo_stimuli:
        output:
            stimuli=str(TREE.stimuli),
        priority: PICTURES
        threads: 2
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            demo=lookup("demo", within=config),
            tree=PLACES,
        script:
            "../scripts/demo_stimuli.py"

    rule demo_subject:
        input:
            stimuli=str(TREE.stimuli),
        output:
            # all that NSD has, whichever the configuration reads
            labels=[str(TREE.roi("{subject}", atlas)) for atlas in REGIONS],
            ncsnr=str(TREE.ncsnr("{subject}")),
            signals=f"{TREE.root}/simulation/{{subject}}.h5",
            betas=[
                str(TREE.betas("{subject}", session, form))
                for session in range(1, CONFIG.demo.sessions + 1)
                for form in ("nii.gz", "hdf5")
            ],
        priority: PICTURES
        resources:
            mem_mb=growing(2000),
            runtime=growing(30),
        params:
            demo=lookup("demo", within=config),
            tree=PLACES,
        script:
            "../scripts/demo_subject.py"
