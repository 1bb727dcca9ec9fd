"""A lock that is handed on in the order in which threads asked for it."""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """Mutual exclusion, first come first served.

    With `threading.Lock`, a thread that gives the lock back and asks again at once mostly gets it,
    and two hundred callers of one sandbox would starve behind the first.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            mine.acquire()
        except BaseException:
            self._leave(mine)
            raise

    def _leave(self, mine: threading.Lock) -> None:
        """Give up waiting, and pass the turn on if it came in the same moment."""
        with self._guard:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return
        self.__exit__(None, None, None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
