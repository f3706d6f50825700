"""What a person types: `kubectl cost` and `gpucost`."""
