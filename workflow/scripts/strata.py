"""Score a subject's pictures by what they show, the nearest training image, and how the responses repeat."""

import numpy as np

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation.strata import by_ceiling, per_image, score_strata, scored, strata_of, trends
from neural_recon.features.clusters import summaries
from neural_recon.responses import noise_ceilings
from neural_recon.workflow.jobs import start

start(snakemake)
files, subject, seed = snakemake.input, snakemake.wildcards.subject, snakemake.params.seed
trials = read_table(files.trials)
train, test = (np.unique(trials.loc[trials["split"] == name, "image_id"]) for name in ("train", "test"))
tokens = {
    name: summaries(files.features, ids, snakemake.params.parts)
    for name, ids in (("train", train), ("test", test))
}
content = read_table(files.content) if files.content else None
images = per_image(test, tokens["test"], train, tokens["train"], content)
scores = scored(read_table(files.scores))
ceilings = noise_ceilings.of_images(**read_hdf5(files.responses, "trials", "trial_ids"))
write_table(snakemake.output.images, images)
write_table(snakemake.output.strata, score_strata(subject, scores, strata_of(images), seed))
write_table(snakemake.output.trends, trends(subject, scores, images, seed))
write_table(snakemake.output.ceilings, ceilings)
write_table(snakemake.output.ceiling_trends, by_ceiling(subject, scores, ceilings, seed))
