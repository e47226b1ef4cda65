"""`from common.predictor import Predictor`, as notebooks say it; the code is in `common.prediction.predictor`."""

from common.prediction.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor"]
