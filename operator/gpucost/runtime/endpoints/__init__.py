"""InferenceEndpoints in the running operator: what is known of them, and the loop that looks after them."""
