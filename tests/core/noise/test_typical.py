"""The curve of the middle."""

from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.noise.typical import typical_curve


def test_the_typical_curve_is_that_of_the_median_gain():
    many = PoissonGaussian([3.0, 1.0, 2.0], [30.0, 10.0, 20.0], [5.0, 5.0, 5.0])
    for model in (many, Refined(many, [1.0]), Refined(Refined(many, [2.0]), [1.0])):
        curve = typical_curve(model)
        assert (float(curve.gain), float(curve.offset)) == (2.0, 20.0)
