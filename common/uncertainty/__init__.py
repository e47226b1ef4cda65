"""Is the uncertainty any good: its scores, its rivals (MC-dropout, consistency, a constant), and what they say in sentences.

Here belongs what judges, and uncertainties that need no estimator. What estimates, and what turns it into millimetres, is in
`models/uncertainty.py` and `evaluation.calibration`.
"""
