"""The networks match the papers: parameters, shapes, gradients, shortcuts."""

import re

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.training import models
from cifar_resnet.training.models import build_network, count_parameters

TABLE = re.findall(r"^ +(plain|resnet|preact)-(\d+) +(\d+) +([\d,]+) +([\d,]+)$", models.__doc__, re.MULTILINE)


def test_table_in_the_docstring_has_every_depth_of_the_papers_networks():
    names = list(dict.fromkeys(name for name, *_ in TABLE))
    assert names == list(ARCHITECTURES)[:3]
    assert [(name, int(depth)) for name, depth, *_ in TABLE] == [
        (name, depth) for name in names for depth in (20, 32, 44, 56, 110)
    ]


@pytest.mark.parametrize(("name", "depth", "layers", "count_a", "count_b"), TABLE)
def test_parameters_and_layers_are_those_of_the_table(name, depth, layers, count_a, count_b):
    for option, count in (("A", count_a), ("B", count_b)):
        network = build_network(name, int(depth), option)
        assert count_parameters(network) == int(count.replace(",", ""))
    weighted = [
        m for m in build_network(name, int(depth)).modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
    ]
    assert len(weighted) == int(layers)


def test_published_parameter_counts():
    assert count_parameters(build_network("resnet", 20)) == 269_722
    assert count_parameters(build_network("resnet", 110)) == 1_727_962


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("option", ["A", "B"])
@pytest.mark.parametrize(("size", "channels", "classes"), [(4, 1, 2), (7, 3, 10), (8, 1, 10), (32, 3, 100), (33, 4, 5)])
def test_any_image_size_channels_and_classes_work(name, option, size, channels, classes):
    network = build_network(name, 8, option, width=5, channels=channels, classes=classes)
    assert network(torch.randn(2, channels, size, size)).shape == (2, classes)


@pytest.mark.parametrize(
    ("arguments", "message"), [((("vgg", 20)), "vgg"), (("resnet", 21), "21"), (("resnet", 2), "2")]
)
def test_impossible_networks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_network(*arguments)


def test_weights_are_kaiming_normal_and_channels_last():
    torch.manual_seed(0)
    network = build_network("resnet", 56)
    convolution = network.blocks[-1].conv2.weight
    assert convolution.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert network.linear.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.1)
    assert convolution.is_contiguous(memory_format=torch.channels_last)
    assert not network.linear.bias.any()


def test_shortcut_a_subsamples_and_pads_with_zero_channels():
    x = torch.arange(2 * 2 * 5 * 5.0).reshape(2, 2, 5, 5)
    out = models.ShortcutA(2, 6, 2)(x)
    assert out.shape == (2, 6, 3, 3)
    assert torch.equal(out[:, :2], x[:, :, [0, 2, 4]][:, :, :, [0, 2, 4]])
    assert not out[:, 2:].any()


def out_of_place(network, images):
    """The same network written without in-place operations, following the papers' figures."""

    def bn_relu(bn, x):
        return F.relu(bn(x))

    x = network.conv1(images)
    if not network.preact:
        x = bn_relu(network.bn, x)
    for block in network.blocks:
        if isinstance(block, models.PreActBlock):
            activated = bn_relu(block.bn1, x)
            branch = block.conv2(bn_relu(block.bn2, block.conv1(activated)))
            x = branch + block.shortcut(activated if block is network.blocks[0] else x)
            continue
        branch = block.bn2(block.conv2(bn_relu(block.bn1, block.conv1(x))))
        x = F.relu(branch + block.shortcut(x) if isinstance(block, models.ResidualBlock) else branch)
    if network.preact:
        x = bn_relu(network.bn, x)
    return network.linear(x.mean((2, 3)))


PAPERS_BLOCKS = (models.PlainBlock, models.ResidualBlock, models.PreActBlock)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if models.block_named(name) in PAPERS_BLOCKS])
@pytest.mark.parametrize("option", ["A", "B"])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_gradients_equal_those_of_an_out_of_place_twin(name, option, norm):
    torch.manual_seed(1)
    network = build_network(name, 20, option, width=4, norm=norm).double()
    images, labels = torch.randn(6, 3, 12, 12, dtype=torch.float64), torch.arange(6)
    gradients = []
    for forward in (network, lambda x: out_of_place(network, x)):
        network.zero_grad()
        F.cross_entropy(forward(images), labels).backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    assert all(gradient.abs().max() > 0 for gradient in gradients[0][:-1])
    for ours, twin in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, twin, rtol=1e-12, atol=1e-14)


def test_plain_is_resnet_without_its_shortcuts():
    torch.manual_seed(2)
    resnet, plain = build_network("resnet", 20).eval(), build_network("plain", 20).eval()
    plain.load_state_dict(resnet.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert not torch.allclose(resnet(images), plain(images))
    for block in resnet.blocks:
        block.shortcut = Nothing()
    torch.testing.assert_close(resnet(images), plain(images))


class Nothing(torch.nn.Module):
    def forward(self, x):
        return torch.zeros(())


def test_first_preact_block_alone_shares_its_activation():
    network = build_network("preact", 20)
    assert [block.first for block in network.blocks] == [True] + [False] * 8


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("option", ["A", "B"])
def test_without_norm_there_is_no_batch_norm_and_the_same_convolutions(name, option):
    torch.manual_seed(3)
    usual = build_network(name, 20, option)
    torch.manual_seed(3)
    bare = build_network(name, 20, option, norm="none")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in bare.modules())
    weights, same = (
        [module.weight for module in network.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]
        for network in (bare, usual)
    )
    assert all(torch.equal(one, other) for one, other in zip(weights, same, strict=True))
    assert sum(1 for _ in bare.parameters()) == len(weights) + 1  # the linear layer's bias


def test_a_small_linear_layer_changes_nothing_else_and_gives_nearly_equal_probabilities():
    torch.manual_seed(3)
    usual = build_network("resnet", 20)
    torch.manual_seed(3)
    small = build_network("resnet", 20, init_linear="small")
    differing = [key for key, value in usual.state_dict().items() if not torch.equal(small.state_dict()[key], value)]
    assert differing == ["linear.weight"]
    probabilities = small(torch.randn(16, 3, 32, 32)).softmax(1)
    assert small.linear.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert (probabilities - 0.1).abs().max() < 0.02


@pytest.mark.parametrize(("name", "norm"), [("resnet", "batch"), ("resnet", "none"), ("preact", "batch")])
def test_with_zero_init_each_block_begins_as_its_shortcut_and_learns_all_the_same(name, norm):
    torch.manual_seed(3)
    network = build_network(name, 20, norm=norm, zero_init_residual=True)
    x = torch.rand(4, 16, 8, 8)
    for block in network.blocks[1:3]:
        torch.testing.assert_close(block(x), x, rtol=0, atol=0)
    F.cross_entropy(network(torch.randn(4, 3, 8, 8)), torch.arange(4)).backward()
    assert all(block.last_weight().grad.abs().max() > 0 for block in network.blocks)


@pytest.mark.parametrize(
    "choice", [{"norm": "layer"}, {"init_linear": "tiny"}, {"name": "plain", "zero_init_residual": True}]
)
def test_impossible_choices_are_refused(choice):
    with pytest.raises(ValueError, match="expected"):
        build_network(**({"name": "resnet", "depth": 20} | choice))


class MixedLayouts(TorchDispatchMode):
    """Records operations that combine feature maps of different memory layouts, except intended permutations."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        maps = [value for value in (*args, made) if isinstance(value, torch.Tensor) and value.dim() == 4]
        layouts = {
            value.is_contiguous(memory_format=torch.channels_last)
            for value in maps
            # Weights and maps with one pixel or channel have both layouts, and a view may have neither.
            if value.shape[1:].numel() > max(value.shape[1], value.shape[2:].numel())
            and (value.is_contiguous() or value.is_contiguous(memory_format=torch.channels_last))
        }
        if len(layouts) == 2 and operation is not torch.ops.aten.permute.default:
            self.seen.append(str(operation))
        return made


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("option", ["A", "B"])
def test_maps_and_gradients_of_two_layouts_never_meet(name, option):
    network = build_network(name, 8, option)
    images = torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    with MixedLayouts() as mixed:
        F.cross_entropy(network(images), torch.arange(4)).backward()
    assert mixed.seen == []


class Operations(TorchDispatchMode):
    """Records the operations on feature maps."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.dim() == 4:
            self.seen.add(operation)
        return made


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_relu_and_addition_overwrites_a_map_instead_of_making_one(name):
    with Operations() as operations:
        build_network(name, 8)(torch.randn(2, 3, 8, 8))
    assert torch.ops.aten.relu_.default in operations.seen
    assert not operations.seen & {torch.ops.aten.relu.default, torch.ops.aten.add.Tensor}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_weight_is_scaled_by_the_connections_into_its_unit(name):
    torch.manual_seed(0)
    network = build_network(name, 20, "B", width=32)
    drawn = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]
    # The first convolution, the widening ones and those of shortcuts have a different number of outgoing connections.
    assert any(module.weight.shape[1] != module.weight.shape[0] for module in drawn)
    for module in drawn:
        assert module.weight.std().item() == pytest.approx((2 / module.weight[0].numel()) ** 0.5, rel=0.1)
        assert abs(module.weight.mean().item()) < 0.1 * module.weight.std().item()


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize(("size", "maps"), [(32, [32, 16, 8]), (33, [33, 17, 9])])
def test_each_stage_halves_the_maps_and_doubles_the_filters(name, size, maps):
    network = build_network(name, 20, width=4)
    shapes = []
    for block in network.blocks:
        block.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    network(torch.zeros(1, 3, size, size))
    assert shapes == [(4 * 2**stage, side, side) for stage, side in enumerate(maps) for _ in range(3)]
