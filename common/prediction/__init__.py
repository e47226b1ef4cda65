"""Anybody's 2D joints to 3D: detectors' files and orders of joints, people through a video, the predictor, its outputs.

Here belongs what works without labels, on input that no data set prepared. `from common.predictor import Predictor` is the door
for notebooks. How predictions look is in `rendering`.
"""
