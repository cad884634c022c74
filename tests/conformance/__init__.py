"""The same cases on a real kernel and on the twin: what makes the twin worth trusting.

A case (`cases/NAME.toml`) is a list of things that an operator, or the tool, does to the lab's clean host. The lab
plays it on the real thing and keeps, after each step, how the step ended and what changed (`recorded/NAME.json`). The
twin then has to do exactly the same. The recordings are checked in, so that this takes no lab; the lab's own test plays
each case anew and holds the recording to it.
"""
