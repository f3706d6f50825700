"""What comes in: the cluster's objects, custom resources, utilisation."""
