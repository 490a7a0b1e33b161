"""Deterministic simulation: the real operator, trigger and portal model on one virtual clock.

No threads, no sleeping, no HTTP. Each worker or triggerer is an actor (a greenlet) that hands its effects
to the `World`, which decides when it goes on and what it is told. A schedule is a scenario plus the faults
that hit single requests, so a failing one can be played again and tells its story.
"""
