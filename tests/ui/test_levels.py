"""The boxes of the levels follow the session's model."""

from types import SimpleNamespace

from napari_hdn.api import NetworkConfig
from napari_hdn.ui.parts.levels.switches import LevelSwitches


def model(created="2026-01-01T00:00:00", **network):
    summary = SimpleNamespace(created=created, seconds=1.0, steps=2)
    return SimpleNamespace(
        config=SimpleNamespace(network=NetworkConfig(**network)), summary=summary
    )


def test_levels_of_the_model_that_is_in_hand(session, qtbot):
    switches = LevelSwitches(session)
    qtbot.addWidget(switches)
    assert switches.switched_off() is None
    session.set_model(None, model(levels=4))
    assert [b.text() for b in switches.boxes] == ["1", "2", "3", "4"]
    assert [b.isEnabled() for b in switches.boxes] == [True, True, True, False]
    switches.boxes[1].click()
    assert switches.switched_off() == (2,)
    session.set_model(None, model(levels=3, deactivated_levels=(1,)))
    assert switches.switched_off() == (1,)
    assert [b.isEnabled() for b in switches.boxes] == [False, True, False]
    session.set_model(None, None)
    assert switches.switched_off() is None
