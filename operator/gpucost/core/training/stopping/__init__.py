"""When a run no longer pays: rules over what it has said, idle GPUs, and a budget; each a pure function.

A rule gives a `Finding`: it holds, it does not, or nobody can tell. `judge` asks all of them, `course` says what
follows (warn, ask for a checkpoint, suspend), `stop` is what the Job remembers of it, `story` is what is told.
"""
