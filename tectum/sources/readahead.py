"""Reading ahead: the next frames are decoded on a thread while the network works on this one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Generic, TypeVar

T = TypeVar("T")


def read_ahead(items: Iterable[T], depth: int = 4, newest: bool = False) -> Generator[T, None, None]:
    """Iterates over `items` on a thread that keeps at most `depth` of them ready.

    An error raised by `items` is raised here, after all items before it. When the consumer stops early, or the
    iterator is closed or forgotten, the thread ends and closes the iterator of `items`.

    Args:
        items: what to iterate over; it is touched by the thread only.
        depth: how many items may wait, at least 1.
        newest: for live sources, drop the oldest waiting item rather than let the thread wait.

    Yields:
        The items in order.
    """
    buffer = _Buffer[T](max(1, depth), newest)
    thread = threading.Thread(target=_fill, args=(items, buffer), name="tectum-read-ahead", daemon=True)
    thread.start()
    try:
        yield from buffer.drain()
    finally:
        buffer.stop()
        # The collector may close a forgotten iterator on any thread, this one included.
        if threading.current_thread() is not thread:
            thread.join()


class _Buffer(Generic[T]):
    """A bounded queue between one producer and one consumer that either may leave."""

    def __init__(self, depth: int, newest: bool) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._newest = newest
        self._changed = threading.Condition()
        self._stopped = False
        self._ended = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Adds an item, once there is room; false when the consumer has left."""
        with self._changed:
            if self._newest and len(self._items) >= self._depth:
                self._items.popleft()
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._depth)
            if not self._stopped:
                self._items.append(item)
                self._changed.notify_all()
            return not self._stopped

    def end(self, error: BaseException | None = None) -> None:
        """Says that nothing more comes, and why if by an error."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Says that nobody takes items any more."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def drain(self) -> Iterator[T]:
        """Takes items until the end, then raises the producer's error if there was one."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._items) or self._ended)
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            # A frame is large: do not hold it while waiting for the next.
            del item
        if self._error is not None:
            raise self._error


def _fill(items: Iterable[T], buffer: _Buffer[T]) -> None:
    iterator = iter(items)
    try:
        if isinstance(iterator, Generator):
            with closing(iterator):
                _pass_on(iterator, buffer)
        else:
            _pass_on(iterator, buffer)
    except BaseException as error:  # handed to the consumer, whatever it is
        buffer.end(error)
    else:
        buffer.end()


def _pass_on(iterator: Iterator[T], buffer: _Buffer[T]) -> None:
    for item in iterator:
        if not buffer.put(item):
            return
        del item
