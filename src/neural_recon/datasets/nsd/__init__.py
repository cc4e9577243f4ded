"""The Natural Scenes Dataset: its tree, design, betas, atlases, captions and bucket."""
