"""Training by a calendar: when a run is due, whether it is worth its money, and what skipping it has saved."""
