# What single regions tell. No other stage depends on these rules; the report shows them.
# All sets in one job per subject: responses, networks and the embedded test images are loaded once.
rule region_decoders:
    input:
        unpack(features_by_space),
        responses="<results>/responses/{subject}.h5",
        single=(
            "<results>/single_trials/{subject}.h5"
            if any(source.single for source in SOURCES.values())
            else []
        ),
        voxels="<results>/voxels/{subject}.parquet",
        data=data_files("pictures", "grid", "regions"),
        weights=ancient(space_files(BASE)),
        clip=ancient(network_files(["clip"])),
    output:
        scores=expand("<results>/regions/{{subject}}/{region}/scores.tsv", region=SETS),
        single=expand(
            "<results>/regions/{{subject}}/{region}/images.parquet", region=SETS
        ),
        images=expand(
            "<results>/regions/{{subject}}/{region}/base_images.h5",
            region=SETS if BASE else [],
        ),
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with_kernel(6000),
        runtime=growing(10 + 10 * len(SETS)),
    params:
        content=content_of(*space_files(BASE), *network_files(["clip"])),
        data=data_state("pictures", "grid", "regions"),
        kind=lambda wildcards: code_of_space(BASE),
        base=lambda wildcards: [BASE, LOCATED[BASE].model_dump()] if BASE else None,
        networks=lambda wildcards: {
            name: path for name, path in NETWORKS.items() if name == "clip"
        },
        preset=lookup("evaluation/preset", within=config),
        repairings=lookup("evaluation/repairings", within=config),
        ridge={
            key: config["decoder"][key]
            for key in ("alpha", "calibration", "cross_validation")
        },
        seed=lookup("seed", within=config),
        sets=lookup("regions/sets", within=config),
        sources={space: tuple(source) for space, source in SOURCES.items()},
    script:
        "../../scripts/region_decoders.py"


# the spaces that are predicted from some regions only
OWN = [space for space, source in SOURCES.items() if source.regions]


# The regions alongside all voxels: their scores, and the tests against each other.
rule region_tests:
    input:
        own=[kernel_of(space) for space in OWN],
        responses="<results>/responses/{subject}.h5",
        regions=expand("<results>/regions/{{subject}}/{region}/scores.tsv", region=SETS),
        scores="<results>/scores/{subject}/images.parquet",
        single=expand(
            "<results>/regions/{{subject}}/{region}/images.parquet", region=SETS
        ),
        strata="<results>/strata/{subject}.parquet",
        summary="<results>/scores/{subject}/summary.tsv",
    output:
        scores="<results>/regions/{subject}/scores.tsv",
        strata="<results>/regions/{subject}/strata.tsv",
        tests="<results>/regions/{subject}/tests.tsv",
    localrule: True
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        base=BASE,
        own=OWN,
        seed=lookup("seed", within=config),
    script:
        "../../scripts/region_tests.py"


rule region_synthetic:
    input:
        unpack(features_by_space),
        responses="<results>/responses/{subject}.h5",
        voxels="<results>/voxels/{subject}.parquet",
        data=data_files("grid", "regions"),
        kernels=KERNELS,
        trained=TRAINED_ON,
        curves=expand("<results>/ridge/{{subject}}/{space}/alpha.tsv", space=SPACES),
    output:
        features="<results>/regions/{subject}/synthetic_features.h5",
        table="<results>/regions/{subject}/synthetic.tsv",
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with_kernel(4000),
        runtime=growing(30),
    params:
        amplitude=lookup("regions/amplitude", within=config),
        data=data_state("grid", "regions"),
        seed=lookup("seed", within=config),
        sets=lookup("regions/sets", within=config),
        spaces=SPACES,
    script:
        "../../scripts/region_synthetic.py"


rule region_pictures:
    input:
        features="<results>/regions/{subject}/synthetic_features.h5",
        unconditional=UNCONDITIONAL,
        base=ancient(space_files(BASE)),
        weights=ancient(GENERATOR.files),
    output:
        images="<results>/regions/{subject}/synthetic.h5",
        sheet="<results>/regions/{subject}/synthetic.png",
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing_with(lambda wildcards: GENERATOR.files, 8000),
        runtime=growing(60),
    params:
        content=content_of(*space_files(BASE), *GENERATOR.files),
        kind=lambda wildcards: code_of_space(BASE),
        base=lambda wildcards: [BASE, LOCATED[BASE].model_dump()] if BASE else None,
        generator=GENERATOR.settings.changing,
        generator_code=GENERATOR_CODE,
        seed=lookup("seed", within=config),
    script:
        "../../scripts/region_pictures.py"
