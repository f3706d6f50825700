"""What goes out: actions on Jobs, status, Events, annotations. Thin: what to write was decided elsewhere."""
