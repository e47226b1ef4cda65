"""Joints and cameras: the sixteen joints and every data set's places for them, projection, Human3.6M's calibration.

Without files; NumPy where poses are read, torch where they are learnt from (bones, trunks, places, which joints a picture has). What
changes poses for the sake of training (turned cameras, alignment) is in `datasets.views` and `adaptation.augment`.
"""
