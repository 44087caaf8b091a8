"""Push intervals apart as little as possible, keeping their order (weighted isotonic regression)."""

from __future__ import annotations


def spread(wanted: list[float], sizes: list[float], firmness: list[float]) -> list[float]:
    """Starts of intervals, in the given order, that do not overlap and stay nearest to ``wanted``.

    Minimises the sum of firmness × (start − wanted)². ``sizes`` hold the gap after each interval.
    """
    offsets: list[float] = []
    total = 0.0
    for size in sizes:
        offsets.append(total)
        total += size
    # Without the offsets the condition is "never falling": pool neighbours that fall.
    blocks: list[tuple[float, float, int]] = []  # (mean, firmness, how many)
    for want, offset, firm in zip(wanted, offsets, firmness, strict=True):
        mean, weight, count = want - offset, firm, 1
        while blocks and blocks[-1][0] > mean:
            before, before_weight, before_count = blocks.pop()
            mean = (before * before_weight + mean * weight) / (before_weight + weight)
            weight += before_weight
            count += before_count
        blocks.append((mean, weight, count))
    levels = [mean for mean, _, count in blocks for _ in range(count)]
    return [level + offset for level, offset in zip(levels, offsets, strict=True)]
