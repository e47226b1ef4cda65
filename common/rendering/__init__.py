"""A scene to GIF, MP4, PNG or HTML: layout, drawing, and the encoders.

Here belongs what makes moving people visible. A `scene.Scene` knows nothing of checkpoints; `panels` and `prediction_scene` fill
one. Plots with axes are in `plotting`.
"""
