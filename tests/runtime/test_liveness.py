"""A process that dies is noticed at once, and one that ends well is not."""

import queue
import socket
import threading
import time

from jaxopt_lab.runtime.liveness import LivenessMonitor


class Store:
    """The store of ``jax.distributed``, for threads."""

    def __init__(self):
        self.values = {}
        self.changed = threading.Condition()

    def key_value_set(self, key, value):
        with self.changed:
            self.values[key] = value
            self.changed.notify_all()

    def blocking_key_value_get(self, key, milliseconds):
        with self.changed:
            found = self.changed.wait_for(
                lambda: key in self.values, milliseconds / 1e3
            )
            assert found
            return self.values[key]


def linked(count, seconds=20.0):
    """Some processes that are connected, and what each is told."""
    store, told = Store(), [queue.Queue() for _ in range(count)]
    links = [
        LivenessMonitor(store, "127.0.0.1:1", i, told[i].put) for i in range(count)
    ]
    for link in links:
        link.start()
    deadline = time.monotonic() + seconds
    while len(links[0]._open) < count - 1 or not all(x._open for x in links[1:]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return links, told, store


def die(link):
    """Close the connections as the system does for a process that ends."""
    link._stopped = True
    for x in link._open.values():
        x.shutdown(socket.SHUT_RDWR)


def test_the_death_of_one_is_told_to_all_others():
    links, told, _ = linked(3)
    die(links[2])
    assert told[0].get(timeout=20) == 2
    assert told[1].get(timeout=20) == 2
    assert told[2].empty()


def test_the_death_of_the_first_is_told():
    links, told, _ = linked(3)
    die(links[0])
    assert told[1].get(timeout=20) == 0
    assert told[2].get(timeout=20) == 0


def test_a_good_end_is_no_death():
    links, told, _ = linked(2)
    links[1].stop()
    die(links[1])
    links[0].stop()
    time.sleep(0.2)
    assert told[0].empty() and told[1].empty()


def test_a_good_end_right_after_the_greeting_is_no_death():
    links, told, store = linked(2)
    port, token = store.values["jaxopt_lab/link"].split()
    with socket.create_connection(("127.0.0.1", int(port))) as brief:
        brief.sendall(f"{token} 2\n.".encode())
    time.sleep(0.2)
    assert 2 in links[0]._open
    assert told[0].empty()


def test_a_stranger_is_not_heard():
    links, told, store = linked(2)
    port = int(store.values["jaxopt_lab/link"].split()[0])
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"guess 1\n")
    time.sleep(0.2)
    assert told[0].empty()
    assert list(links[0]._open) == [1]


def test_without_a_way_to_connect_nothing_is_told():
    store, told = Store(), queue.Queue()
    store.key_value_set("jaxopt_lab/link", "1 token")
    LivenessMonitor(store, "127.0.0.1:1", 1, told.put).start()
    time.sleep(0.2)
    assert told.empty()
