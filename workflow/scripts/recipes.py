"""Put the scores and pictures of several recipes side by side: tables, and a page."""

from itertools import product

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation import recipe_scores
from neural_recon.evaluation.comparison import together
from neural_recon.report.recipes import build
from neural_recon.workflow.jobs import start

start(snakemake)
files, output, params = snakemake.input, snakemake.output, snakemake.params
keys = list(product(params.recipes, params.subjects))
summaries = {key: read_table(path) for key, path in zip(keys, files.summaries, strict=True)}
single = {key: read_table(path) for key, path in zip(keys, files.images, strict=True)}
images = recipe_scores.images(single)
tests, scores = recipe_scores.tests(images, params.seed), recipe_scores.scores(summaries)
counts = {len(read_hdf5(path, "test_ids")["test_ids"]) for path in files.responses}
if len(counts) == 1 and not params.simulated:
    scores = together([scores, recipe_scores.published_beside(params.preset, *counts)])
for path, table in ((output.scores, scores), (output.tests, tests), (output.images, images)):
    write_table(path, table)
final = dict(zip(keys, files.final, strict=True))
data = datasets.load(snakemake.config)
build(
    output.page, params.about, scores, tests, images, final, data.pictures, params.preset, params.simulated,
    data.image_names,
)  # fmt: skip
