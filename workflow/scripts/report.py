"""Write the report."""

from pathlib import Path

from neural_recon import datasets
from neural_recon.features.spaces import SPACES
from neural_recon.report.page import build
from neural_recon.report.results import CONTROLS, SubjectFiles, if_there
from neural_recon.workflow.jobs import start

start(snakemake)
params, results = snakemake.params, Path(snakemake.params.results)
# which of them there are depends on the kind of generator
tables, painted = ({Path(path).stem for path in snakemake.input[name]} for name in ("controls", "final"))
subjects = [
    SubjectFiles(
        subject=subject,
        summary=results / f"scores/{subject}/summary.tsv",
        tests=results / f"scores/{subject}/tests.tsv",
        images=results / f"scores/{subject}/images.parquet",
        responses=results / f"responses/{subject}.h5",
        voxels=results / f"voxels/{subject}.parquet",
        base=results / f"base_images/{subject}/decoded.h5",
        final=results / f"reconstructions/{subject}/decoded.h5",
        true_features=results / f"reconstructions/{subject}/true_features.h5",
        controls={name: results / f"controls/{subject}/{name}.tsv" for name in CONTROLS if name in tables},
        regions=results / f"regions/{subject}" if snakemake.config["regions"]["sets"] else None,
        strata=results / f"strata/{subject}.tsv",
        comparison=results / "scores/comparison.parquet" if snakemake.input.comparison else None,
        quality=results / f"quality/{subject}/sessions.tsv",
        baselines=results / f"baselines/{subject}.h5",
        shuffled=results / f"reconstructions/{subject}/shuffled.h5",
        **{
            name: results / f"reconstructions/{subject}/{name}.h5"
            for name in ("swapped", "contexts_only")
            if name in painted
        },
        alphas={space: results / f"ridge/{subject}/{space}/alpha.tsv" for space in SPACES},
        refits={space: results / f"ridge/{subject}/{space}/shuffled_refits.tsv" for space in SPACES},
        targets={space: results / f"targets/{subject}/{space}.tsv" for space in SPACES},
        data_amount=results / f"data_amount/{subject}.tsv" if snakemake.config["data_amount"] else None,
    )
    for subject in params.subjects
]
build(
    snakemake.output.page, subjects, datasets.load(snakemake.config), params.benchmarks, snakemake.config,
    contents=snakemake.input.content or None, provenance=if_there(results / "provenance"),
)  # fmt: skip
