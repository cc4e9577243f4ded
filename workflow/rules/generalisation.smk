# Other sessions of the same people, decoded by the decoders kept and by their controls (docs/generalisation.md).
include: "generalisation_inputs.smk"


if CONFIG.generalisation:

    rule generalisation:
        input:
            unpack(kept_fits),
            data=sessions_and_pictures,
            trials=training_trials,
            voxels="<results>/voxels/{subject}.parquet",
            unconditional=UNCONDITIONAL,
            weights=ancient(
                [
                    *GENERATOR.files,
                    *(path for name in SPACES for path in space_files(name)),
                ]
            ),
        output:
            fits=expand(
                "<results>/generalisation/{{other}}/{{subject}}/{fit}.h5",
                fit=controls.FITS,
            ),
            rows="<results>/generalisation/{other}/{subject}/rows.tsv",
        wildcard_constraints:
            other="|".join(CONFIG.generalisation),
        threads: 8
        resources:
            gpu=1,
            mem_mb=growing_with(lambda wildcards: GENERATOR.files, 16000),
            runtime=growing(240),
        params:
            base=BASE,
            content=content_of(
                *GENERATOR.files,
                *(path for name in SPACES for path in space_files(name)),
            ),
            data=other_state,
            decoder=lookup("decoder", within=config),
            decoder_code=CODE.code(DECODERS.file(CONFIG.decoder.kind)),
            generator=GENERATOR.settings.changing,
            generator_code=GENERATOR_CODE,
            how=lookup("generalisation/{other}", within=config),
            kinds=lambda wildcards: [code_of_space(name) for name in SPACES],
            person=lambda wildcards: CONFIG.people(wildcards.other)[wildcards.subject],
            pictures=data_state("pictures"),
            seed=lookup("seed", within=config),
            spaces=lambda wildcards: {
                name: settings.model_dump() for name, settings in LOCATED.items()
            },
        script:
            "../scripts/generalisation.py"

    rule generalisation_scores:
        input:
            fits=rules.generalisation.output.fits,
            rows=rules.generalisation.output.rows,
            data=other_files,
            networks=ancient(network_files(NETWORKS)),
        output:
            images="<results>/generalisation/{other}/{subject}/images.parquet",
            scores="<results>/generalisation/{other}/{subject}/scores.tsv",
            tests="<results>/generalisation/{other}/{subject}/tests.tsv",
            pictures=directory("<results>/generalisation/{other}/{subject}/pictures"),
        wildcard_constraints:
            other="|".join(CONFIG.generalisation),
        threads: 8
        resources:
            gpu=1,
            mem_mb=growing(16000),
            runtime=growing(60),
        params:
            base_is_final=GENERATOR.kind.base_is_final,
            content=content_of(*network_files(NETWORKS)),
            data=other_state,
            evaluation=lookup("evaluation", within=config),
            how=lookup("generalisation/{other}", within=config),
            networks=lambda wildcards: NETWORKS,
            seed=lookup("seed", within=config),
            spaces=SPACES,
        script:
            "../scripts/generalisation_scores.py"


# other sessions alone: snakemake --cores 2 other_sessions
rule other_sessions:
    input:
        [
            f"<results>/generalisation/{name}/{subject}/scores.tsv"
            for name in CONFIG.generalisation
            for subject in CONFIG.people(name)
        ],
