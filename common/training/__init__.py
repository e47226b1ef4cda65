"""One run from options to checkpoint: arguments, the loop, a step, its schedule, the folder, the log, the lock.

Here belongs what every training script does around its recipe. The recipe's own loss stands in the script; what has a target
domain is in `adaptation`. `checkpoint` says what a checkpoint holds.
"""
