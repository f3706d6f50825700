"""Policies of training: when and where a TrainingJob runs, and what has to be done for it."""
