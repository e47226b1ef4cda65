"""Finished runs to the figures of a paper: errors by joint and action, curves, uncertainty.

Here belongs what reads results and draws axes. Errors were counted before it is called, by a run or a script; pictures of people
are in `rendering`. The style of all plots is `common/figures.py`, below every room.
"""
