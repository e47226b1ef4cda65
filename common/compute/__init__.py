"""Where and how arithmetic runs: device, precision, repeatable random numbers, several processes, signals.

Here belongs what a run asks of the machine, whatever it computes. Losses, data and networks are not known here.
"""
