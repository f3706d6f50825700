"""What a training run will take and cost, before it runs, and what would cost less.

Pure arithmetic on the size of the model, the tokens, the GPUs and their prices; the same in the operator, which tells
it as an Event, and in `kubectl cost estimate`, which needs no cluster. Whatever is not known stays unknown and is said:
a GPU whose speed nobody has published here, a price that no list has.
"""
