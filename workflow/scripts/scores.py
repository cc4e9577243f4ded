"""Score a subject's base images, reconstructions and predicted features, with their controls."""

from neural_recon.files import write_table
from neural_recon.jobs import start
from neural_recon.models import device, load_clip
from neural_recon.networks import Judges
from neural_recon.scoring import score_subject

start(snakemake)
params = snakemake.params
clip = load_clip(params.models, text=False)
judges = Judges(params.evaluation["preset"], clip, params.networks, where=device())
scores = score_subject(snakemake.wildcards.subject, snakemake.input, judges, params.evaluation, params.seed)
write_table(snakemake.output.images, scores.image_table())
write_table(snakemake.output.summary, scores.summary_table())
write_table(snakemake.output.tests, scores.comparisons(params.base_is_final))
