import gc

from napari_hdn.io.reading.recent import Recent


class Owner:
    pass


def test_what_was_used_longest_ago_goes_first():
    kept: Recent[bytes] = Recent(10, len)
    a, b = Owner(), Owner()
    for number in range(3):
        kept.keep(a, number, bytes(3))
    assert kept.find(a, 0) == bytes(3)
    kept.keep(b, 0, bytes(3))
    assert [kept.find(a, n) is not None for n in range(3)] == [True, False, True]
    assert kept.weight() == 9
    kept.keep(b, 1, bytes(3))
    assert kept.find(b, 0) is not None and kept.find(a, 2) is not None
    kept.keep(b, 0, bytes(3))  # anew
    assert kept.weight() == 9


def test_a_heavier_value_is_kept_alone():
    kept: Recent[bytes] = Recent(10, len)
    a, b = Owner(), Owner()
    kept.keep(a, 0, bytes(3))
    kept.keep(b, 0, bytes(50))
    assert kept.find(a, 0) is None and kept.find(b, 0) == bytes(50)
    kept.keep(a, 0, bytes(4))
    assert kept.find(b, 0) is None and kept.weight() == 4


def test_values_go_with_their_owner():
    kept: Recent[bytes] = Recent(10**6, len)
    owners = [Owner() for _ in range(1000)]
    for owner in owners:
        kept.keep(owner, 0, bytes(10))
    del owner, owners[500:]
    gc.collect()
    assert kept.weight() == 5000
    kept._lock.acquire()  # as when the collector runs within
    owners.clear()
    kept._lock.release()
    assert kept.weight() == 0
