"""Write CLIP's contexts of a grey picture and of the empty caption."""

from neural_recon.files import write_hdf5
from neural_recon.jobs import start
from neural_recon.models import load_clip

start(snakemake)
vision, text = load_clip(snakemake.params.models).unconditional()
write_hdf5(snakemake.output.contexts, {"vision": vision, "text": text}, {})
