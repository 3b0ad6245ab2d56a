"""Several processes, on one machine or on many, that share the work on the particles.

One process leads: it is the program, as if it were alone, and alone writes and speaks. The
others follow: they wait for tasks, and each does a share. There are two kinds of work: a
sweep over particles, whose batches go to whoever is free (`sweep`), and a task that all do
in step, adding up what they find (`together`).
"""
