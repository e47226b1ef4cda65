"""Is the uncertainty any good: its scores, its rivals (MC-dropout, a constant), and what they say in sentences.

Here belongs what judges. What estimates, and what turns it into millimetres, is in `models/uncertainty.py` and
`evaluation.calibration`.
"""
