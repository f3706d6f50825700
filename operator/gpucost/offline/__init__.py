"""Cost without a cluster: reads a scenario from a file and runs the core's arithmetic over it."""
