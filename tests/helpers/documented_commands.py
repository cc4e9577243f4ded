"""Every command that the documentation tells to type, and what runs it: the one table to extend.

A command stands here as it does there, without its comment and with single spaces. `test_docs.py` runs those
that are `Here`, and fails on a command that is not in the table.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Here:
    """Run by `test_docs.py` in a copy of the project.

    Its `resources/nsd` has the tree of one subject by name, without data.
    """

    more: str = ""  # what is added to it
    status: int = 0
    says: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """Run by another test or by continuous integration: in which file."""

    file: str


@dataclass(frozen=True)
class NotRun:
    """Cannot be run here, and why."""

    why: str


DRY = Here("-n")
BENCHMARK = (
    "takes minutes to hours, or a GPU: benchmarks/README.md has its figures, or says that they are open; "
    "tests/test_benchmarks.py runs it at its smallest size"
)

COMMANDS: dict[str, Here | Elsewhere | NotRun] = {
    # setting up, and continuous integration
    "make env": Elsewhere(".ci/run"),
    "make env && source .venv/bin/activate": Elsewhere(".ci/run"),
    "make env test": Elsewhere(".ci/run"),
    "make test": Elsewhere(".ci/run"),
    'pytest -m "not slow" --cov': NotRun("make test with the lines counted"),
    "make coverage": NotRun("make test with the lines counted: takes as long again"),
    "make lint": Elsewhere(".ci/run"),
    "make docs": Elsewhere(".ci/run"),
    "make lint docs test": Elsewhere(".ci/run"),
    "make demo": Elsewhere(".ci/run"),
    "make demo-models": Elsewhere("tests/demo/test_training.py"),
    "make test-kill": Elsewhere("tests/workflow/test_kills.py"),
    "make test-kill KILLS=32": Elsewhere("tests/workflow/test_kills.py"),
    "make test-kill KILLS=12 SEED=1": Elsewhere("tests/workflow/test_kills.py"),
    "make lock": NotRun(
        "resolves the newest versions from the package index; tests/test_dependencies.py has its parts"
    ),
    "pre-commit install": NotRun("pre-commit is no package of the lock; its hooks are those of make lint"),
    "pip install -e '.[slurm]'": NotRun("changes the environment that the tests run in"),
    "python -m neural_recon.config.reference": Here(),
    "pytest tests/demo/test_demo.py -k synthetic": Elsewhere(".ci/run"),
    "pytest -s tests/workflow/test_real_excerpt.py": Elsewhere("tests/workflow/test_real_excerpt.py"),
    "pytest tests/workflow/test_slurm.py": Elsewhere("tests/workflow/test_slurm.py"),
    "pytest -s tests/workflow/test_export.py -k difference": Elsewhere("tests/workflow/test_export.py"),
    "pytest -s tests/workflow/test_export.py -k components": Elsewhere("tests/workflow/test_export.py"),
    "python tests/helpers/slurm_cluster.py start": Elsewhere("tests/workflow/test_slurm.py"),
    # the demo
    "snakemake --cores 2 -n": Here(says="reconstruct"),
    "source .venv/bin/activate": NotRun("the tests run in that environment"),
    "snakemake --cores 2 --config generator='{strength: 0.6}'": DRY,
    "snakemake --cores 2 controls": DRY,
    "snakemake --cores 2 figure": DRY,
    "snakemake --cores 2 data_amount": Elsewhere("tests/workflow/test_workflow.py"),
    "snakemake --cores 2 clusters": Elsewhere("tests/workflow/test_changed_runs.py"),
    "snakemake --cores 2 --config demo='{seed: 21}'": DRY,
    "snakemake --forcerun betas": Elsewhere("tests/workflow/test_workflow.py"),
    "snakemake --report report.zip": Elsewhere("tests/workflow/test_workflow.py"),
    "snakemake --configfile config/demo.yaml --config recipe=more_text --cores 2 -n": Here(
        says="reconstruct"
    ),
    "snakemake --cores 2 --config decoder='{keep: kernel}' -- "
    "results/decoders/subj01/{vdvae,vision,text}.h5": Elsewhere("tests/workflow/test_changed_runs.py"),
    # NSD
    "neural-recon doctor --configfile config/nsd.yaml": Here(status=1, says="next: "),
    "snakemake --cores 4 fetch": Elsewhere("tests/workflow/test_fetch_workflow.py"),
    "neural-recon config write config/ours.yaml": Elsewhere("tests/cli/test_config_commands.py"),
    "neural-recon config write --dataset table lab --small": Elsewhere("tests/workflow/test_own_lab.py"),
    "neural-recon import things_fmri THINGS-fMRI data/things --small": Elsewhere(
        "tests/workflow/test_import.py"
    ),
    "neural-recon doctor --configfile data/things/config.yaml": Elsewhere("tests/workflow/test_import.py"),
    "snakemake --configfile data/things/config.yaml --cores 2": Elsewhere("tests/workflow/test_import.py"),
    "neural-recon import nsd_imagery NSD data/imagery": Elsewhere(
        "tests/datasets/nsd/test_other_sessions.py"
    ),
    "snakemake --configfile config/nsd.yaml data/imagery/generalisation.yaml --cores 8": Elsewhere(
        "tests/workflow/test_nsd_sessions.py"
    ),
    "snakemake --configfile CONFIG.yaml --cores 8 other_sessions": Elsewhere(
        "tests/workflow/test_generalisation.py"
    ),
    "neural-recon import laion_fmri LAION data/laion --fetch --accept-terms --subject sub-01": Elsewhere(
        "tests/datasets/test_importers.py"
    ),
    "neural-recon doctor --configfile config/lab.yaml": Elsewhere("tests/workflow/test_own_lab.py"),
    "snakemake --configfile config/lab.yaml --cores 2": Elsewhere("tests/workflow/test_own_lab.py"),
    "neural-recon config validate config/ours.yaml": Elsewhere("tests/cli/test_config_commands.py"),
    "neural-recon doctor --configfile config/ours.yaml": Here(status=1, says="next: "),
    "snakemake --configfile config/ours.yaml --cores 4 fetch": Here("-n", says="fetch_weights"),
    "snakemake --configfile config/ours.yaml --cores 8 subj01": Here("-n", says="fetch_weights"),
    "snakemake --configfile config/ours.yaml --cores 8 --config generator='{strength: 0.6}' -n": Here(),
    "snakemake --configfile config/ours.yaml --cores 4 subj01 --config generator='{memory: low}'": DRY,
    "snakemake --configfile config/nsd.yaml ...": NotRun("stands for any command"),
    "export SNAKEMAKE_OUTPUT_CACHE=/shared/neural-recon-cache": Elsewhere("tests/workflow/test_cache.py"),
    "snakemake --cache --configfile config/nsd.yaml --cores 4 fetch": Elsewhere(
        "tests/workflow/test_cache.py"
    ),
    "snakemake --cache --configfile config/nsd.yaml --cores 4": Elsewhere("tests/workflow/test_cache.py"),
    "snakemake --configfile config/nsd.yaml --config recipe=guides_only "
    "pathvars='{results: results/guides_only}' --cores 8 subj01": DRY,
    "snakemake --config generator='{kind: base_only}' pathvars='{results: results/base_only}' "
    "--cores 2 subj01": DRY,
    "snakemake --configfile config/nsd.yaml --cores 8 compare "
    "--config recipes='[brain_diffuser, base_only, guides_only]' -n": Here(says="base_only__reconstruct"),
    "snakemake --configfile config/nsd.yaml --cores 8 compare "
    "--config recipes='[brain_diffuser, base_only, guides_only]'": DRY,
    "snakemake --cores 2 compare "
    "--config recipes='[brain_diffuser_small, stable_diffusion_small, kandinsky_small]'": DRY,
    "snakemake --configfile config/released/demo.yaml --cores 2 compare --config recipes='["
    "config/released/takagi_small.yaml, config/released/takagi_painting.yaml, "
    "config/released/takagi_released.yaml]'": Here("-n", says="takagi_released__ridge_space_kernel"),
    "snakemake --cores 2 compare --config recipes='[brain_diffuser_small, shared_subject_small]'": Here(
        "-n", says="shared_finetune"
    ),
    "snakemake --configfile config/nsd.yaml --config recipe=mine -n": NotRun(
        "names a recipe that the reader adds; guides_only is one that is there"
    ),
    # clusters and machines
    "snakemake --workflow-profile workflow/profiles/slurm --configfile config/nsd.yaml -n": Here(
        says="fetch_weights"
    ),
    "snakemake --workflow-profile workflow/profiles/slurm --configfile config/nsd.yaml fetch": NotRun(
        "needs a cluster and NSD; tests/workflow/test_slurm.py runs the profile on a made-up cluster"
    ),
    "snakemake --workflow-profile workflow/profiles/slurm --configfile config/nsd.yaml": NotRun(
        "needs a cluster and NSD; tests/workflow/test_slurm.py runs the profile on a made-up cluster"
    ),
    "snakemake --workflow-profile workflow/profiles/slurm --configfile config/ours.yaml": Here("-n"),
    "snakemake --workflow-profile workflow/profiles/jetstream --configfile config/nsd.yaml": Here(
        "-n", says="fetch_weights"
    ),
    # the command line
    "neural-recon COMMAND --help": NotRun("stands for any command"),
    "neural-recon --debug COMMAND ...": NotRun("stands for any command"),
    "neural-recon --help": Elsewhere("tests/cli/test_cli.py"),
    "neural-recon demo --subject subj01": Elsewhere("tests/cli/test_demo_command.py"),
    "neural-recon --install-completion": Elsewhere("tests/cli/test_cli.py"),
    "neural-recon decode --subject subj01 --betas NEW.nii.gz --average conditions.tsv": Elsewhere(
        "tests/workflow/test_changed_runs.py"
    ),
    "neural-recon decode --decoder OUT --betas NEW.nii.gz": Elsewhere("tests/workflow/test_export.py"),
    "neural-recon export --subject subj01 OUT": Elsewhere("tests/workflow/test_export.py"),
    "neural-recon submit --configfile config/nsd.yaml --subject subj01 subj01.json": Elsewhere(
        "tests/workflow/test_submit.py"
    ),
    "neural-recon submit --configfile config/nsd.yaml --subject subj01 --pictures "
    "results/others/mine_mindeye2.tsv --sessions 40 --repetitions 3 mine.json": Elsewhere(
        "tests/workflow/test_submit.py"
    ),
    "neural-recon board FOLDER": Elsewhere("tests/report/test_board.py"),
    "neural-recon evaluate --reconstructions PICTURES --stimuli NSD --preset brain_diffuser "
    "--output scores.tsv": Elsewhere("tests/evaluation/test_folder_scores.py"),
    "neural-recon evaluate --reconstructions results/versatile_diffusion/subj01 --stimuli NSD "
    "--preset brain_diffuser --ids brain_diffuser --output scores.tsv": Elsewhere(
        "tests/evaluation/test_name_questions.py"
    ),
    "neural-recon evaluate --reconstructions pictures --stimuli NSD --preset mindeye2 --ids mindeye2 "
    "--output scores.tsv": Elsewhere("tests/evaluation/test_name_questions.py"),
    "neural-recon verify results": Elsewhere("tests/workflow/test_provenance.py"),
    "neural-recon verify results/": Elsewhere("tests/workflow/test_provenance.py"),
    # measurements
    "python benchmarks/minutes.py demo --cores 2": NotRun(BENCHMARK),
    "python benchmarks/minutes.py tests": NotRun(BENCHMARK),
    "python benchmarks/minutes.py ci": NotRun(BENCHMARK),
    "python benchmarks/shuffled_refits.py": NotRun(BENCHMARK),
    "OMP_NUM_THREADS=2 python benchmarks/ridge.py": NotRun(BENCHMARK),
    "OMP_NUM_THREADS=2 python benchmarks/ridge.py --skip-others": NotRun(BENCHMARK),
    "python benchmarks/betas.py --turns 3": NotRun(BENCHMARK),
    "python benchmarks/evaluate.py --sample 4": NotRun(BENCHMARK),
    "python benchmarks/startup.py --turns 1": NotRun(BENCHMARK),
    "python benchmarks/planning.py": NotRun(BENCHMARK),
    "python benchmarks/report.py": NotRun(BENCHMARK),
    "python benchmarks/diffusion.py --small --images 4 --batch 4 --steps 50": NotRun(BENCHMARK),
    "python benchmarks/diffusion.py": NotRun(BENCHMARK),
    "OMP_NUM_THREADS=1 python benchmarks/generators.py --small --images 4 --batch 4 --steps 20": NotRun(
        BENCHMARK
    ),
    "python benchmarks/generators.py": NotRun(BENCHMARK),
    "OMP_NUM_THREADS=2 python benchmarks/shared_subject.py": NotRun(BENCHMARK),
    "snakemake --configfile config/demo.yaml --config 'subjects={subj03: {}, subj04: {}}' "
    "'demo={subjects: [subj01, subj02, subj03, subj04]}' 'pathvars={results: results/four}' --cores 2 -- "
    "results/four/session_trials/subj0{1,2,3,4}.h5 "
    "results/four/features/{vdvae,vision,text}/{shared,subj01,subj02,subj03,subj04}_000.h5": NotRun(
        "takes minutes, and a shell that expands its braces: four simulated people, for a benchmark"
    ),
    "OMP_NUM_THREADS=1 python benchmarks/shared_subject.py --results results/four": NotRun(BENCHMARK),
    "OMP_NUM_THREADS=1 python benchmarks/shared_subject.py --sessions 1 4 10 40": NotRun(BENCHMARK),
    "python benchmarks/shared_subject.py --speed": NotRun(BENCHMARK),
    "python benchmarks/vdvae.py": NotRun(BENCHMARK),
    "python benchmarks/features.py": NotRun(BENCHMARK),
    "OMP_NUM_THREADS=2 python benchmarks/features.py --weights DIR": NotRun(BENCHMARK),
    "python benchmarks/rehearsal.py --folder DIR --stages features numbers single": NotRun(BENCHMARK),
    "python benchmarks/rehearsal.py --folder DIR --gpu": NotRun(BENCHMARK),
    "OMP_NUM_THREADS=2 python benchmarks/vdvae.py --turns 2": NotRun(BENCHMARK),
}
