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
