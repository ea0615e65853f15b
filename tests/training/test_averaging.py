import pytest
import torch
from torch import nn

from histolib.training import average_weights


def network(value):
    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    for tensor in (*net.parameters(), *net.buffers()):
        tensor.data.fill_(value)
    return net


def test_weights_and_statistics_move_by_the_share_that_is_not_memory():
    average, net = network(0), network(1)
    average_weights(average, net, memory=0.9, steps_done=10_000)
    assert average[0].weight.item() == pytest.approx(0.1)
    assert average[1].running_mean.item() == pytest.approx(0.1)
    assert average[1].num_batches_tracked.item() == 1


def test_the_start_is_forgotten_quickly():
    average, net = network(0), network(1)
    for step in range(60):
        average_weights(average, net, memory=0.999, steps_done=step)
    assert average[0].weight.item() > 0.99


def test_the_network_is_left_alone_and_no_gradient_is_asked_for():
    average, net = network(0), network(1)
    net(torch.ones(2, 1)).sum().backward()
    average_weights(average, net, 0.9, 100)
    assert net[0].weight.item() == 1
    assert average[0].weight.grad is None
