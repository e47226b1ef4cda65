"""Prepared files to poses, and poses to batches: one module for each data set, one form (`poses.Poses`) for all.

Here belongs what reads files that a script in `data/` wrote, checks them, and hands out 2D, or 2D and 3D. A target's labels stay
unread where the 2D alone is asked for. What turns the world's files into prepared ones is in `preparation`.
"""
