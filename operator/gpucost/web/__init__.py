"""The cost API: an aggregated API behind the API server, and its twin on loopback."""
