"""Cost of one CycleGAN training step, compared with a plain implementation of the paper.

Run `python tests/benchmarks/bench_cyclegan.py`. Batch 1, 256 px, 9 blocks, width 64. Each measurement runs two steps in
its own process and times the second; the implementations alternate. Compare the ratios, because seconds depend on the
machine; on a shared machine, compare the processor time with one thread.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from common import options, peak_mb
from torch import Tensor, nn

from histolib.config import profile
from histolib.translation import CycleGAN
from histolib.translation.image_pool import ImagePool

SIZE_PX, WIDTH, BLOCKS = 256, 64, 9
BOTH = ("ours", "plain")
RUNS = {"identity on, float32": BOTH, "identity off, float32": BOTH, "identity on, bf16": BOTH[:1]}


def normed(layer: nn.Module, *after: nn.Module) -> nn.Module:
    return nn.Sequential(layer, nn.InstanceNorm2d(layer.out_channels), *after)


class PlainBlock(nn.Sequential):
    def __init__(self, channels: int) -> None:
        first, second = (normed(nn.Conv2d(channels, channels, 3)) for _ in range(2))
        super().__init__(nn.ReflectionPad2d(1), first, nn.ReLU(True), nn.ReflectionPad2d(1), second)

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def plain_generator() -> nn.Module:
    one, two, four = WIDTH, 2 * WIDTH, 4 * WIDTH
    down = nn.Conv2d(3, one, 7), nn.Conv2d(one, two, 3, 2, 1), nn.Conv2d(two, four, 3, 2, 1)
    up = nn.ConvTranspose2d(four, two, 3, 2, 1, 1), nn.ConvTranspose2d(two, one, 3, 2, 1, 1)
    layers = [*(normed(layer, nn.ReLU(True)) for layer in down), *(PlainBlock(four) for _ in range(BLOCKS))]
    layers += [*(normed(layer, nn.ReLU(True)) for layer in up), nn.ReflectionPad2d(3), nn.Conv2d(one, 3, 7)]
    return nn.Sequential(nn.ReflectionPad2d(3), *layers, nn.Tanh())


def plain_discriminator() -> nn.Module:
    layers = [nn.Conv2d(3, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for i, stride in ((1, 2), (2, 2), (4, 1)):
        layers.append(normed(nn.Conv2d(i * WIDTH, 2 * i * WIDTH, 4, stride, 1), nn.LeakyReLU(0.2, True)))
    return nn.Sequential(*layers, nn.Conv2d(8 * WIDTH, 1, 4, 1, 1))


def plain_step(identity: bool) -> Callable[[Tensor, Tensor], None]:
    """Zhu et al. 2017 as published: separate passes, least squares, pools of 50, Adam."""
    g, f, d_x, d_y = plain_generator(), plain_generator(), plain_discriminator(), plain_discriminator()
    judges, pools = nn.ModuleList([d_x, d_y]), (ImagePool(), ImagePool())
    generators = torch.optim.Adam([*g.parameters(), *f.parameters()], 2e-4, (0.5, 0.999))
    discriminators = torch.optim.Adam(judges.parameters(), 2e-4, (0.5, 0.999))

    def aim(scores: Tensor, target: float) -> Tensor:
        return F.mse_loss(scores, torch.full_like(scores, target))

    def step(x: Tensor, y: Tensor) -> None:
        x, y = 2 * x - 1, 2 * y - 1
        fake_y, fake_x = g(x), f(y)
        back_x, back_y = f(fake_y), g(fake_x)
        judges.requires_grad_(False)
        generators.zero_grad()
        loss = aim(d_y(fake_y), 1) + aim(d_x(fake_x), 1) + 10 * (F.l1_loss(back_x, x) + F.l1_loss(back_y, y))
        if identity:
            loss = loss + 5 * (F.l1_loss(g(y), y) + F.l1_loss(f(x), x))
        loss.backward()
        generators.step()
        judges.requires_grad_(True)
        discriminators.zero_grad()
        for network, real, fake, pool in ((d_y, y, fake_y, pools[0]), (d_x, x, fake_x, pools[1])):
            (0.5 * (aim(network(real), 1) + aim(network(pool.query(fake)), 0))).backward()
        discriminators.step()

    return step


def our_step(identity: bool, bf16: bool) -> Callable[[Tensor, Tensor], None]:
    settings = replace(profile("full").cyclegan, patch_px=SIZE_PX, width=WIDTH, blocks=BLOCKS, warm_steps=0)
    task = CycleGAN(replace(settings, content_limit=-1.0, identity=settings.identity if identity else 0.0))
    accelerator = Accelerator(cpu=True, mixed_precision="bf16" if bf16 else "no")
    for group in (task.modules, task.optimizers):
        for name, item in group.items():
            group[name] = accelerator.prepare(item)

    def step(x: Tensor, y: Tensor) -> None:
        task.step({"ihc": x, "he": y}, accelerator)

    return step


def measure(run: str, way: str) -> None:
    """Print wall time and processor time of a step in seconds, and the peak memory of the process in MB."""
    torch.manual_seed(0)
    identity, bf16 = "identity on" in run, "bf16" in run
    step = our_step(identity, bf16) if way == "ours" else plain_step(identity)
    for _ in range(2):
        x, y = torch.rand(2, 1, 3, SIZE_PX, SIZE_PX)
        start = time.perf_counter(), time.process_time()
        step(x, y)
        end = time.perf_counter(), time.process_time()
    print(end[0] - start[0], end[1] - start[1], peak_mb())


def main() -> None:
    found: dict[tuple[str, str], list[list[float]]] = {}
    for _ in range(options(__doc__, repeats=3).repeats):
        for run, ways in RUNS.items():
            for way in ways:
                command = [sys.executable, __file__, run, way]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found.setdefault((run, way), []).append([float(number) for number in output.split()[-3:]])
    cost = {key: [median(values) for values in zip(*rows, strict=True)] for key, rows in found.items()}
    print(f"{'a step':<24}{'way':<8}{'s':>8}{'CPU s':>8}{'peak MB':>9}{'plain / ours: CPU s':>21}")
    for (run, way), (wall, cpu, memory) in cost.items():
        rival = cost.get((run, "plain"), cost["identity on, float32", "plain"])
        print(f"{run:<24}{way:<8}{wall:8.2f}{cpu:8.2f}{memory:9.0f}{rival[1] / cpu:21.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in RUNS:
        measure(*sys.argv[1:])
    else:
        main()
