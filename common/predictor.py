"""`from common.predictor import Predictor`, as notebooks say it; the code is in `common.prediction.predictor`."""

import gc

_collects = gc.isenabled()
gc.disable()  # a tenth of the time that importing torch takes goes into looking for garbage that is not there
try:
    from common.prediction.predictor import Prediction, Predictor
finally:
    if _collects:
        gc.freeze()
        gc.unfreeze()  # both: what was imported counts as old, and is not looked through at once
        gc.enable()

__all__ = ["Prediction", "Predictor"]
