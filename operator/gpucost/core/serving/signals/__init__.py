"""What an inference server says of its load, with everything that is not certain kept apart from what is."""
