"""Training audio: the corpus, augmentation, batches."""
