"""Finished runs to the figures of a paper: errors by joint and action, curves, uncertainty.

Here belongs what reads results and draws axes. It computes no error: whatever is drawn was written by a run or by `evaluate.py`. The
style of all plots is `common/figures.py`, below every room.
"""
