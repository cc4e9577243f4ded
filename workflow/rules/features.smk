# Features belong to stimuli: the shared images once for all subjects, each subject's own once.
rule features_vdvae:
    input:
        design=source(str(TREE.expdesign)),
        stimuli=source(str(TREE.stimuli)),
        weights=ancient(VDVAE),
        hparams=lookup("features/vdvae/hparams", within=config),
    output:
        features="<results>/features/vdvae/{stimuli}_{chunk}.h5",
    log:
        "<logs>/features_vdvae/{stimuli}_{chunk}.log",
    benchmark:
        "<benchmarks>/features_vdvae/{stimuli}_{chunk}.tsv"
    cache: CACHED
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        chunk=stimuli_chunk,
        chunk_size=lookup("features/chunk", within=config),
        code=code_of("features_vdvae"),
        content=content_of(TREE.expdesign, TREE.stimuli, VDVAE),
        latents=lookup("features/vdvae/latents", within=config),
        layers=lookup("features/vdvae/layers", within=config),
        # the posterior's mean needs no seed
        seed=config["seed"] if CONFIG.features.vdvae.latents == "sample" else 0,
    script:
        "../scripts/features_vdvae.py"


rule features_clip_vision:
    input:
        design=source(str(TREE.expdesign)),
        stimuli=source(str(TREE.stimuli)),
        weights=ancient(model_files(*ENCODERS[:2])),
    output:
        features="<results>/features/clip_vision/{stimuli}_{chunk}.h5",
    log:
        "<logs>/features_clip_vision/{stimuli}_{chunk}.log",
    benchmark:
        "<benchmarks>/features_clip_vision/{stimuli}_{chunk}.tsv"
    cache: CACHED
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        chunk=stimuli_chunk,
        chunk_size=lookup("features/chunk", within=config),
        code=code_of("features_clip_vision"),
        content=content_of(TREE.expdesign, TREE.stimuli, *model_files(*ENCODERS[:2])),
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/features_clip_vision.py"


rule features_clip_text:
    input:
        design=source(str(TREE.expdesign)),
        # built here from COCO's, or a source
        captions=(
            str(CONFIG.captions) if CONFIG.nsd.coco else source(str(CONFIG.captions))
        ),
        weights=ancient(model_files(*ENCODERS[2:])),
    output:
        features="<results>/features/clip_text/{stimuli}_{chunk}.h5",
    log:
        "<logs>/features_clip_text/{stimuli}_{chunk}.log",
    benchmark:
        "<benchmarks>/features_clip_text/{stimuli}_{chunk}.tsv"
    cache: CACHED
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        chunk=stimuli_chunk,
        chunk_size=lookup("features/chunk", within=config),
        code=code_of("features_clip_text"),
        content=content_of(TREE.expdesign, CONFIG.captions, *model_files(*ENCODERS[2:])),
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/features_clip_text.py"


# What diffusion is guided away from.
rule unconditional_contexts:
    input:
        weights=ancient(model_files(*ENCODERS)),
    output:
        contexts="<results>/features/unconditional.h5",
    log:
        "<logs>/unconditional_contexts.log",
    benchmark:
        "<benchmarks>/unconditional_contexts/all.tsv"
    cache: CACHED
    priority: PICTURES
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        code=code_of("unconditional_contexts"),
        content=content_of(*model_files(*ENCODERS)),
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/unconditional_contexts.py"


# Snakemake times nothing that may come from the cache, and refuses rules with a benchmark.
if CACHED:
    for name in ("vdvae", "clip_vision", "clip_text"):
        workflow.get_rule(f"features_{name}")._benchmark = None
    workflow.get_rule("unconditional_contexts")._benchmark = None
