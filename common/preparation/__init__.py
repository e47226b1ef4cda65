"""What people have of a data set to prepared files: readers of foreign sources, and the writers of our layouts.

Used by the scripts in `data/`, never by training: what is read while a network learns is in `datasets`. Motion capture, which
has no cameras and no skeleton of ours yet, is in `mocap`.
"""
