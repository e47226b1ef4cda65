"""What the scripts share. Scripts import from here before anything else, so that what goes wrong in the seconds in which torch and
matplotlib are imported, before `common.errors.run_script` is there to tell of it, is told in a line as well."""

import os
import sys
from types import TracebackType


def _say_interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Python then ends as by Ctrl-C, which shells show as 130."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        _hook_before(kind, error, trace)


def _check_plotting_backend() -> None:
    """matplotlib refuses to be imported where MPLBACKEND is unknown to it; here figures go into files, so that it does not matter."""
    if "MPLBACKEND" not in os.environ or "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND")
    import matplotlib

    try:
        matplotlib.rcParams["backend"] = backend
        os.environ["MPLBACKEND"] = backend
    except ValueError:
        print(f"warning: matplotlib knows no MPLBACKEND={backend!r}, which is left out of account", file=sys.stderr)


_hook_before = sys.excepthook
sys.excepthook = _say_interrupted
_check_plotting_backend()
