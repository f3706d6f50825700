"""What the operator measures of a run before it weighs its deadline against the price of capacity.

Work left, changeover, checkpoints, and where spot was seen: all from what the run has said and from its own stays on
nodes. The policy itself is `gpucost.core.training.deadline`, the same in the simulator.
"""
