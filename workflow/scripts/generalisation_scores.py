"""Score what was decoded from other sessions of a subject, every group of trials apart."""

from pathlib import Path

from neural_recon import datasets
from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation.generalisation import score_groups
from neural_recon.evaluation.networks import PresetNetworks
from neural_recon.generation.png_files import write_folder
from neural_recon.models.loading import choose_device
from neural_recon.workflow.generalisation import kinds_of_pictures
from neural_recon.workflow.jobs import start

start(snakemake)
params, output, rows = snakemake.params, snakemake.output, read_table(snakemake.input.rows)
files = {Path(path).stem: path for path in snakemake.input.fits}
summary, tests, images = score_groups(
    snakemake.wildcards.subject,
    files,
    datasets.load({"dataset": params.how["dataset"]}).pictures,
    PresetNetworks(params.evaluation["preset"], params.networks, where=choose_device()),
    params.evaluation,
    params.seed,
    params.spaces,
    params.base_is_final,
)
write_table(output.scores, summary)
write_table(output.tests, tests)
write_table(output.images, images)
write_folder(output.pictures, kinds_of_pictures(files["decoded"], rows))
