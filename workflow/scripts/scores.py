"""Score a subject's base images, reconstructions and predicted features, with their controls."""

from neural_recon import datasets
from neural_recon.core.tables import write_table
from neural_recon.demo.judge import read_judge
from neural_recon.evaluation.captions import score_captions
from neural_recon.evaluation.networks import PresetNetworks
from neural_recon.evaluation.scored_results import score_subject
from neural_recon.evaluation.shares import shares
from neural_recon.generation.generator import GENERATORS
from neural_recon.models.loading import choose_device
from neural_recon.workflow.jobs import start

start(snakemake)
params, data = snakemake.params, datasets.load(snakemake.config)
scores = score_subject(
    snakemake.wildcards.subject,
    snakemake.input,
    data.pictures,
    PresetNetworks(params.evaluation["preset"], params.networks, where=choose_device()),
    params.evaluation,
    params.seed,
    params.spaces,
    params.retrieved,
    judge=read_judge(snakemake.input.judge),
)
captions = score_captions(scores, snakemake.input, data, params.caption_space, params.caption_encoder)
images, own = scores.image_table(), GENERATORS.load(snakemake.config["generator"]["kind"]).own_controls
names = data.image_names(images["image_id"])
write_table(snakemake.output.images, images if names is None else images.assign(image=names))
write_table(snakemake.output.summary, scores.summary_table())
write_table(snakemake.output.shares, shares(images, params.seed, own))
write_table(snakemake.output.captions, captions)
write_table(snakemake.output.tests, scores.comparisons(params.base_is_final, own))
