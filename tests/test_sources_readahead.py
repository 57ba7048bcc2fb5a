"""Reading ahead on a thread: order, errors, bounds, and leaving early."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from tectum.sources import read_ahead


def _threads() -> int:
    return sum(thread.name == "tectum-read-ahead" for thread in threading.enumerate())


@pytest.mark.parametrize("depth", [1, 4, 1000])
def test_everything_comes_in_order(depth: int) -> None:
    assert list(read_ahead(range(500), depth)) == list(range(500))
    assert _threads() == 0


def test_an_error_comes_after_what_was_read_before_it() -> None:
    def broken() -> Iterator[int]:
        yield from range(3)
        raise ValueError("frame 3")

    items = read_ahead(broken(), 2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="frame 3"):
        next(items)


def test_it_reads_no_further_than_its_depth() -> None:
    read = []

    def counted() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    items = read_ahead(counted(), 3)
    assert next(items) == 0
    deadline = time.monotonic() + 2
    while len(read) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(read) == 5  # one taken, three waiting, one in hand
    items.close()


@pytest.mark.parametrize("leave", ["close", "forget"])
def test_leaving_early_ends_the_thread_and_closes_the_source(leave: str) -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    items = read_ahead(source(), 2)
    next(items)
    if leave == "close":
        items.close()
    else:
        del items
        gc.collect()
    assert closed.wait(2)
    assert _threads() == 0


def test_a_live_source_never_waits_and_gives_its_newest() -> None:
    produced = threading.Event()

    def camera() -> Iterator[int]:
        yield from range(50)
        produced.set()

    items = read_ahead(camera(), 1, newest=True)
    first = next(items)
    assert produced.wait(2)
    assert list(items) == ([49] if first < 49 else [])
