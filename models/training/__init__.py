"""What the training scripts of the models share."""
