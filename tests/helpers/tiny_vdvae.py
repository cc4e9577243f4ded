"""The hyperparameters of a VDVAE small enough for any test."""

TINY_VDVAE = {
    "image_size": 8,
    "width": 8,
    "zdim": 2,
    "enc_blocks": "8x1,8d2,4d4,1x1",
    "dec_blocks": "1x1,4m1,8m4",
    "num_mixtures": 2,
}
