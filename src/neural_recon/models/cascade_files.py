"""Where a folder has the stages of Stable Cascade; needs no torch."""

from pathlib import Path

EFFNET = "effnet_encoder.safetensors"
# As published, in single files: the first that is there is read, else the first of all is to be fetched.
SINGLE = {
    "C": ("stage_c_bf16", "stage_c", "stage_c_lite_bf16", "stage_c_lite"),
    "B": ("stage_b_bf16", "stage_b", "stage_b_lite_bf16", "stage_b_lite"),
    "A": ("stage_a",),
}
# In the layout of diffusers, stage C in a model of its own.
FOLDERS = {"C": ("prior", "prior"), "B": ("weights", "decoder"), "A": ("weights", "vqgan")}


def stages(folder: Path) -> dict[str, tuple[str, str]]:
    """Each stage's setting, `weights` or `prior`, and its part of the model that this names.

    Args:
        folder: of `weights`; a name of the table of weights is for the published files.
    """
    found = {}
    for stage, stems in SINGLE.items():
        names = [f"{stem}.safetensors" for stem in stems]
        found[stage] = ("weights", next((name for name in names if (folder / name).is_file()), names[0]))
    in_folders = (folder / "decoder").is_dir() and not (folder / found["C"][1]).is_file()
    return FOLDERS if in_folders else found
