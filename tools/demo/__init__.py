"""The demo: two teams train on a real control plane with simulated GPU nodes, and gpucost shows what it costs."""
