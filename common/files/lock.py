"""The system's own lock on an open file: it ends with the process that holds it, however that ends, so it is never stale."""

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file for this opening of it alone, without waiting.

    Returns:
        True: it is ours until the descriptor and its copies (`dup`, `fork`) are closed; False: somebody else holds it;
        None: the system or the file system (some network ones) has no such locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
