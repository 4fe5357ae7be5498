import pytest

from napari_hdn.core import memory


class Libc:
    def __init__(self):
        self.calls = []

    def mallopt(self, option, value):
        self.calls.append((option, value))

    def malloc_trim(self, pad):
        self.calls.append("trim")


def test_memory_is_kept_until_the_last_job_is_over(monkeypatch):
    libc = Libc()
    monkeypatch.setattr(memory, "_glibc", lambda: libc)
    with memory.kept_memory():
        assert (-3, 2**30) in libc.calls
        with memory.kept_memory():
            pass
        assert "trim" not in libc.calls
    assert libc.calls[-1] == "trim" and (-3, 2**25) in libc.calls


def test_memory_is_given_back_after_an_error(monkeypatch):
    libc = Libc()
    monkeypatch.setattr(memory, "_glibc", lambda: libc)
    with pytest.raises(KeyError), memory.kept_memory():
        raise KeyError
    assert libc.calls[-1] == "trim"


@pytest.mark.parametrize("system", [("Darwin", ""), ("Windows", ""), ("Linux", "musl")])
def test_other_systems_are_left_alone(monkeypatch, system):
    monkeypatch.setattr("platform.system", lambda: system[0])
    monkeypatch.setattr("platform.libc_ver", lambda: (system[1], ""))
    assert memory._glibc() is None
    with memory.kept_memory():
        pass
