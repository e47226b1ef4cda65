"""Joints and cameras: the sixteen joints and every data set's places for them, projection, Human3.6M's calibration.

NumPy alone, without files and without torch. What changes poses for the sake of training (turned cameras, alignment) is in
`datasets.views` and `adaptation.augment`.
"""
