"""Every test begins with nothing measured."""

import pytest

from napari_hdn.core.estimates import costs, restoration, training


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(costs, "_costs", type(costs._costs)())
    monkeypatch.setattr(training, "_probes", type(training._probes)())


@pytest.fixture
def known(monkeypatch):
    """A machine where each pixel costs 1 µs once and 2 µs for each sample."""
    monkeypatch.setattr(restoration, "cost_of", lambda *args: costs.Cost(1e-6, 2e-6))
