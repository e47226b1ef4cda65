"""The one place where numbers are made: errors, losses, the calibration of uncertainty, what a test does, tables.

Here belongs what is computed from predictions and labels, however the network was trained. How good an uncertainty is, as a
subject of its own, is in `uncertainty`; figures are in `plotting`.
"""
