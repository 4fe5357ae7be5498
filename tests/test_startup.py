"""Heavy imports are late: finding the plugin loads no torch, and scripts load no napari."""

import subprocess
import sys

import pytest


def _loaded_after(code: str, *names: str) -> set[str]:
    """Which of the modules are loaded after running code in a fresh interpreter."""
    script = f"{code}\nimport sys\nprint([n for n in {names!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(eval(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "module", ["napari_hdn", "napari_hdn.api", "napari_hdn.cli", "napari_hdn.cli.app"]
)
def test_import_loads_neither_torch_nor_napari_nor_qt(module: str):
    heavy = ("torch", "napari", "qtpy", "PyQt6", "magicgui", "scipy.stats", "skimage")
    assert _loaded_after(f"import {module}", *heavy) == set()


def test_names_for_scripts_load_no_torch():
    code = "import napari_hdn as hdn; hdn.preset('fast', minutes=5); hdn.open_images; hdn.Stop()"
    assert _loaded_after(code, "torch", "napari") == set()


def test_finding_the_plugin_loads_nothing_of_it():
    code = (
        "from npe2 import PluginManager\n"
        "found = PluginManager.instance()\n"
        "found.discover()\n"
        "assert 'napari-hdn' in [m.name for m in found.iter_manifests()]\n"
        "assert list(found.iter_widgets())"
    )
    assert _loaded_after(code, "torch", "napari_hdn.ui", "napari_hdn.core.training") == set()


def test_modules_of_all_contributions_load_no_torch():
    code = (
        "from importlib import import_module\n"
        "from npe2 import PluginManifest\n"
        "manifest = PluginManifest.from_distribution('napari-hdn')\n"
        "for command in manifest.contributions.commands:\n"
        "    import_module(command.python_name.split(':')[0])"
    )
    assert _loaded_after(code, "torch", "lightning_fabric") == set()


def test_every_public_name_exists():
    import napari_hdn

    for name in napari_hdn.__all__:
        assert getattr(napari_hdn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = napari_hdn.nothing
