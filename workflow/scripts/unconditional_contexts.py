"""Write CLIP's contexts of a grey picture and of the empty caption."""

from neural_recon.core.files import write_hdf5
from neural_recon.models.loading import load_clip
from neural_recon.workflow.jobs import start

start(snakemake)
vision, text = load_clip(snakemake.params.models).unconditional()
write_hdf5(snakemake.output.contexts, {"vision": vision, "text": text}, {})
