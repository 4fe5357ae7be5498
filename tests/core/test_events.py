from napari_hdn.core.events import RateLimit, Stop


def test_stop():
    stop = Stop()
    assert not stop.requested
    stop.request()
    assert stop.requested


def test_rate_limit():
    now = [0.0]
    limit = RateLimit(5, clock=lambda: now[0])
    spoken = 0
    for k in range(1000):
        now[0] = k / 1000
        spoken += limit.ready()
    assert spoken == 5


def test_rate_limit_rests_after_long_work():
    now = [0.0]
    limit = RateLimit(0.25, clock=lambda: now[0])
    assert limit.ready()
    now[0] = 10.0  # what was done took longer than the interval
    limit.rest()
    now[0] = 13.9
    assert not limit.ready()
    now[0] = 14.1
    assert limit.ready()
