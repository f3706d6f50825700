"""Learning curves of real trainings, and what the rules of early stopping would have made of them.

python -m curves record     trains the models and writes tests/data/curves/ (some minutes)
python -m curves report     replays every rule over the recorded curves and writes docs/results/early-stopping.md
"""
