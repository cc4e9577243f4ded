# Features belong to stimuli: the shared images once for all subjects, each subject's own once. Those that a recipe in
# a comparison does not find with another one lie where all recipes find them.
FEATURES = "<shared>/features/{digest}" if SHARED else "<results>/features"


rule features:
    input:
        data=lambda wildcards: data_files(*space_reads(wildcards))(wildcards),
        weights=lambda wildcards: ancient(space_files(wildcards.space)),
    output:
        features=f"{FEATURES}/{{space}}/{{stimuli}}_{{chunk}}.h5",
    wildcard_constraints:
        digest="|".join(SHARED.makes) if SHARED and SHARED.makes else "(?!)",
    cache: CACHED
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with(lambda wildcards: space_files(wildcards.space), 7000),
        runtime=growing(10),
    params:
        chunk=stimuli_chunk,
        chunk_size=lookup("features/chunk", within=config),
        content=lambda wildcards: content_of(*space_files(wildcards.space))(wildcards),
        data=lambda wildcards: data_state(*space_reads(wildcards))(wildcards),
        kind=lambda wildcards: code_of_space(wildcards.space),
        seed=space_seed,
        settings=lambda wildcards: LOCATED[wildcards.space].model_dump(),
    script:
        "../scripts/features.py"
