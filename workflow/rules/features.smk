# Features belong to stimuli: the shared images once for all subjects, each subject's own once.
rule features_vdvae:
    input:
        design=str(TREE.expdesign),
        stimuli=str(TREE.stimuli),
        weights=VDVAE,
        hparams=lookup("features/vdvae/hparams", within=config),
    output:
        features="<results>/features/vdvae/{stimuli}_{chunk}.h5",
    log:
        "<logs>/features_vdvae/{stimuli}_{chunk}.log",
    benchmark:
        "<benchmarks>/features_vdvae/{stimuli}_{chunk}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        chunk_size=lookup("features/chunk", within=config),
        latents=lookup("features/vdvae/latents", within=config),
        layers=lookup("features/vdvae/layers", within=config),
        # the posterior's mean needs no seed
        seed=config["seed"] if CONFIG.features.vdvae.latents == "sample" else 0,
    script:
        "../scripts/features_vdvae.py"


rule features_clip_vision:
    input:
        design=str(TREE.expdesign),
        stimuli=str(TREE.stimuli),
        weights=model_files("image_encoder", "image_processor"),
    output:
        features="<results>/features/clip_vision/{stimuli}_{chunk}.h5",
    log:
        "<logs>/features_clip_vision/{stimuli}_{chunk}.log",
    benchmark:
        "<benchmarks>/features_clip_vision/{stimuli}_{chunk}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        chunk_size=lookup("features/chunk", within=config),
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/features_clip_vision.py"


rule features_clip_text:
    input:
        design=str(TREE.expdesign),
        captions=str(CONFIG.captions),
        weights=model_files("text_encoder", "tokenizer"),
    output:
        features="<results>/features/clip_text/{stimuli}_{chunk}.h5",
    log:
        "<logs>/features_clip_text/{stimuli}_{chunk}.log",
    benchmark:
        "<benchmarks>/features_clip_text/{stimuli}_{chunk}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        chunk_size=lookup("features/chunk", within=config),
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/features_clip_text.py"


# What diffusion is guided away from.
rule unconditional_contexts:
    input:
        weights=model_files(
            *("image_encoder", "text_encoder", "image_processor", "tokenizer")
        ),
    output:
        contexts="<results>/features/unconditional.h5",
    log:
        "<logs>/unconditional_contexts.log",
    benchmark:
        "<benchmarks>/unconditional_contexts/all.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(10),
    params:
        models=lambda wildcards: VERSATILE,
    script:
        "../scripts/unconditional_contexts.py"
