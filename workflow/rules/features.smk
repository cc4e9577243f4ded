# Features belong to stimuli: the shared images once for all subjects, each subject's own once.
rule features_vdvae:
    input:
        design=source(str(TREE.expdesign)),
        stimuli=source(str(TREE.stimuli)),
        weights=ancient(VDVAE),
        hparams=lookup("features/vdvae/hparams", within=config),
    output:
        features="<results>/features/vdvae/{stimuli}_{chunk}.h5",
    cache: CACHED
    priority: PICTURES
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        chunk=stimuli_chunk,
        chunk_size=lookup("features/chunk", within=config),
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
    cache: CACHED
    priority: PICTURES
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        chunk=stimuli_chunk,
        chunk_size=lookup("features/chunk", within=config),
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
    cache: CACHED
    priority: PICTURES
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        chunk=stimuli_chunk,
        chunk_size=lookup("features/chunk", within=config),
        content=content_of(TREE.expdesign, CONFIG.captions, *model_files(*ENCODERS[2:])),
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/features_clip_text.py"
