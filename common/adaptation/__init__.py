"""DUA and what goes beyond it: all that knows a source and a target domain.

Here belong modules' options, the adversary's passes, converters, source poses seen anew, and how far domains are apart. No label
of the target is learnt from. The networks themselves are in `models/`, distances between features in `evaluation.losses`.
"""
