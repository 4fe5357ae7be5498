"""The manifest is valid, and everything that it names can be imported."""

import pytest
from npe2 import PluginManifest


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-hdn")


def test_imports_are_valid(manifest: PluginManifest):
    manifest.validate_imports()


def test_display_name_is_the_package_name(manifest: PluginManifest):
    """Else the menu and `add_plugin_dock_widget` open two docks."""
    assert manifest.display_name == manifest.name == "napari-hdn"


def test_commands_are_used_and_used_ones_exist(manifest: PluginManifest):
    contributions = manifest.contributions
    defined = {command.id for command in contributions.commands or ()}
    used = {item.command for item in contributions.widgets or ()}
    used |= {item.command for item in contributions.writers or ()}
    used |= {item.command for item in contributions.readers or ()}
    used |= {item.command for item in contributions.sample_data or () if hasattr(item, "command")}
    menus = contributions.menus or {}
    used |= {m.command for items in menus.values() for m in items if hasattr(m, "command")}
    assert used == defined
    assert all(command.id.startswith("napari-hdn.") for command in contributions.commands or ())


def test_what_a_user_is_promised(manifest: PluginManifest):
    contributions = manifest.contributions
    widgets = [widget.display_name for widget in contributions.widgets or ()]
    assert widgets == [  # in their order
        "Calibrate noise model",
        "Train HDN",
        "Inspect latent levels",
        "Restore images",
        "Generate images",
        "Segment with diversity",
        "Evaluate",
        "Judge a restoration",
        "Manage models",
    ]
    samples = {sample.display_name.lower() for sample in contributions.sample_data or ()}
    assert any("pixel noise" in name for name in samples)
    assert any("stripes" in name for name in samples)
    assert any("image" in writer.layer_types[0] for writer in contributions.writers or ())
