# The embedded data set: written in NSD's own formats, so that the demo runs the code that real data run.
if CONFIG.demo is not None:

    rule demo_experiment:
        output:
            design=str(TREE.expdesign),
            captions=str(TREE.captions),
            scenes=f"{TREE.root}/annots/scenes.parquet",
        log:
            "<logs>/demo_experiment.log",
        benchmark:
            "<benchmarks>/demo_experiment/all.tsv"
        priority: PICTURES
        conda:
            "../../envs/environment.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            code=code_of("demo_experiment"),
            demo=lookup("demo", within=config),
            tree=tree_parameters(),
        script:
            "../scripts/demo_experiment.py"

    rule demo_stimuli:
        output:
            stimuli=str(TREE.stimuli),
        log:
            "<logs>/demo_stimuli.log",
        benchmark:
            "<benchmarks>/demo_stimuli/all.tsv"
        priority: PICTURES
        conda:
            "../../envs/environment.yaml"
        threads: 2
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            code=code_of("demo_stimuli"),
            demo=lookup("demo", within=config),
            tree=tree_parameters(),
        script:
            "../scripts/demo_stimuli.py"

    rule demo_subject:
        output:
            # all that NSD has, whichever the configuration reads
            labels=[str(TREE.roi("{subject}", atlas)) for atlas in REGIONS],
            ncsnr=str(TREE.ncsnr("{subject}")),
        log:
            "<logs>/demo_subject/{subject}.log",
        benchmark:
            "<benchmarks>/demo_subject/{subject}.tsv"
        priority: PICTURES
        conda:
            "../../envs/environment.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            code=code_of("demo_subject"),
            demo=lookup("demo", within=config),
            tree=tree_parameters(),
        script:
            "../scripts/demo_subject.py"

    rule demo_signals:
        input:
            stimuli=str(TREE.stimuli),
        output:
            signals=f"{TREE.root}/simulation/{{subject}}.h5",
        log:
            "<logs>/demo_signals/{subject}.log",
        benchmark:
            "<benchmarks>/demo_signals/{subject}.tsv"
        priority: PICTURES
        conda:
            "../../envs/environment.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            code=code_of("demo_signals"),
            demo=lookup("demo", within=config),
            tree=tree_parameters(),
        script:
            "../scripts/demo_signals.py"

    rule demo_betas:
        input:
            signals=f"{TREE.root}/simulation/{{subject}}.h5",
        output:
            nifti=str(TREE.betas("{subject}", 0)).replace(
                "session00", "session{session}"
            ),
            hdf5=str(TREE.betas("{subject}", 0, "hdf5")).replace(
                "session00", "session{session}"
            ),
        log:
            "<logs>/demo_betas/{subject}_{session}.log",
        benchmark:
            "<benchmarks>/demo_betas/{subject}_{session}.tsv"
        priority: PICTURES
        conda:
            "../../envs/environment.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            code=code_of("demo_betas"),
            demo=lookup("demo", within=config),
            tree=tree_parameters(),
        script:
            "../scripts/demo_betas.py"
