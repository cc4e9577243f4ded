# Features belong to stimuli: the shared images once for all subjects, each subject's own once.
rule features_vdvae:
    input:
        data=data_files("lists", "pictures"),
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
        content=content_of(VDVAE),
        data=data_state("lists", "pictures"),
        latents=lookup("features/vdvae/latents", within=config),
        layers=lookup("features/vdvae/layers", within=config),
        # the posterior's mean needs no seed
        seed=config["seed"] if CONFIG.features.vdvae.latents == "sample" else 0,
    script:
        "../scripts/features_vdvae.py"


rule features_clip_vision:
    input:
        data=data_files("lists", "pictures"),
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
        content=content_of(*model_files(*ENCODERS[:2])),
        data=data_state("lists", "pictures"),
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/features_clip_vision.py"


rule features_clip_text:
    input:
        data=data_files("lists", "captions"),
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
        content=content_of(*model_files(*ENCODERS[2:])),
        data=data_state("lists", "captions"),
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/features_clip_text.py"


# What diffusion is guided away from.
rule unconditional_contexts:
    input:
        weights=ancient(model_files(*ENCODERS)),
    output:
        contexts="<results>/features/unconditional.h5",
    cache: CACHED
    priority: PICTURES
    resources:
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        content=content_of(*model_files(*ENCODERS)),
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/unconditional_contexts.py"
