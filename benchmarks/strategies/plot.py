"""Two small drawings as SVG: lines of what was reached at what cost, and bars with intervals. No library is needed."""

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#0b6e4f", "#c1121f", "#1d3557", "#e09f3e", "#7b2cbf", "#5c677d", "#8a5a44", "#0096c7")
_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 220, 30, 60


def _rounded(most: float) -> float:
    """The least of 1, 2, 2.5 and 5 times a power of ten that is not below it: its fifths are short to write."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= most * (1 - 1e-9))


def _frame(title: str, x_label: str, y_label: str, x_most: float, y_most: float) -> list[str]:
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><title>{escape(title)}</title><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
        f'<text x="{_LEFT + plot_width / 2}" y="{_HEIGHT - 15}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text x="16" y="{_TOP + plot_height / 2}" text-anchor="middle" '
        f'transform="rotate(-90 16 {_TOP + plot_height / 2})">{escape(y_label)}</text>',
    ]
    for part in range(6):
        y = _TOP + plot_height * (1 - part / 5)
        lines.append(f'<path d="M{_LEFT} {y:.1f}h{plot_width}" stroke="#ddd"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{y_most * part / 5:g}</text>')
        if x_most:
            x = _LEFT + plot_width * part / 5
            lines.append(f'<text x="{x:.1f}" y="{_HEIGHT - 40}" text-anchor="middle">{x_most * part / 5:g}</text>')
    return lines


def lines(
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
) -> str:
    """Step lines, y from 0 to 1, one a name."""
    x_most = _rounded(max((x for points in series.values() for x, _ in points), default=1.0))
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    drawn = _frame(title, x_label, y_label, x_most, 1.0)
    for index, (name, points) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = ""
        for x, y in points:
            place = f"{_LEFT + width * x / x_most:.1f}"
            path += f"H{place}V{_TOP + height * (1 - y):.1f}" if path else f"M{place} {_TOP + height * (1 - y):.1f}"
        drawn.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y_text = _TOP + 20 + 18 * index
        drawn.append(f'<text x="{_WIDTH - _RIGHT + 12}" y="{y_text}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*drawn, "</svg>\n"])


def bars(title: str, y_label: str, values: Mapping[str, tuple[float, float, float]]) -> str:
    """A bar a name with its interval: value, low, high."""
    most = _rounded(max((high for _, _, high in values.values()), default=1.0) or 1.0)
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    drawn = _frame(title, "", y_label, 0, most)
    each = width / max(1, len(values))
    for index, (name, (value, low, high)) in enumerate(values.items()):
        x, wide = _LEFT + each * (index + 0.2), each * 0.6
        top = _TOP + height * (1 - value / most)
        colour = COLOURS[index % len(COLOURS)]
        drawn.append(
            f'<rect x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{height * value / most:.1f}" fill="{colour}"/>'
        )
        ends = [_TOP + height * (1 - end / most) for end in (low, high)]
        drawn.append(f'<path d="M{x + wide / 2:.1f} {ends[0]:.1f}V{ends[1]:.1f}" stroke="black"/>')
        y_text = _TOP + 20 + 18 * index
        drawn.append(f'<text x="{_WIDTH - _RIGHT + 12}" y="{y_text}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*drawn, "</svg>\n"])
