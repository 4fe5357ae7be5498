import torch

from napari_hdn.core.model.stochastic import MAX_LOG_VARIANCE, Normal, kl_divergence


def test_kl_is_that_of_torch_distributions():
    torch.manual_seed(0)
    q = Normal(torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4))
    p = Normal(torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4))

    def as_torch(n):
        return torch.distributions.Normal(n.mean, torch.exp(0.5 * n.log_variance))

    expected = torch.distributions.kl_divergence(as_torch(q), as_torch(p))
    torch.testing.assert_close(kl_divergence(q, p), expected)


def test_parameters_are_split_and_the_log_variance_is_bounded():
    parameters = torch.cat([torch.full((1, 3, 2, 2), 5.0), torch.full((1, 3, 2, 2), 1e6)], dim=1)
    normal = Normal.from_parameters(parameters)
    assert torch.equal(normal.mean, torch.full((1, 3, 2, 2), 5.0))
    assert float(normal.log_variance.max()) <= MAX_LOG_VARIANCE
    value = normal.at(torch.ones(1, 3, 2, 2))
    torch.testing.assert_close(value, 5 + torch.exp(0.5 * normal.log_variance))
