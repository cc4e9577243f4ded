"""One network trained on several subjects: its data, training, checkpoints and predictions."""
