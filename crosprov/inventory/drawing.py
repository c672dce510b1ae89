"""The graph of a lab as an SVG drawing: waves are columns, hosts are boxes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from xml.sax.saxutils import escape

from crosprov.inventory.graph import Cluster, arrows, clusters
from crosprov.inventory.lab import Lab

MARGIN = 24
TITLE = 64
HEIGHT = 66
ROW_GAP = 22
COLUMN_GAP = 96
PADDING = 14
LETTER = 7.4

STYLE = """
text { font-family: system-ui, sans-serif; font-size: 12px; fill: #1f2933; }
.title { font-size: 16px; font-weight: 600; }
.wave { fill: #627281; letter-spacing: 0.06em; }
.name { font-size: 14px; font-weight: 600; }
.roles { fill: #486581; }
.host { fill: #ffffff; stroke: #829ab1; }
.stack { fill: #f0f4f8; stroke: #bcccdc; }
.needs { fill: none; stroke: #627d98; }
""".strip()


@dataclass(frozen=True, slots=True)
class Box:
    """Hold where a cluster is drawn, in pixels from the top left."""

    cluster: Cluster
    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        """The height of the arrows."""
        return self.y + HEIGHT / 2


def as_svg(lab: Lab, chosen: Collection[str] | None = None) -> str:
    """Render the graph as an SVG document; the first wave is on the left."""
    layout = clusters(lab, chosen)
    columns = _columns(layout)
    boxes = {box.cluster.label: box for column in columns for box in column}
    width = max((box.x + box.width for box in boxes.values()), default=0) + MARGIN
    height = max((box.y + HEIGHT for box in boxes.values()), default=TITLE) + MARGIN
    count = sum(len(cluster.hosts) for wave in layout for cluster in wave)
    title = f"{lab.name}: {count} host{'s' if count != 1 else ''}"
    width = max(width, 2 * MARGIN + 1.3 * LETTER * len(title))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}\n</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#627d98"/>'
        "</marker></defs>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#f8fafc"/>',
        _text(MARGIN, MARGIN + 6, "title", title),
    ]
    for number, column in enumerate(columns, 1):
        parts.append(_text(column[0].x, TITLE - 10, "wave", f"wave {number}"))
    parts += [_arrow(boxes[source], boxes[target]) for source, target in _pairs(lab, layout)]
    parts += [part for box in boxes.values() for part in _host(box)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _pairs(lab: Lab, layout: tuple[tuple[Cluster, ...], ...]) -> tuple[tuple[str, str], ...]:
    pairs = dict.fromkeys((source, target) for source, _, target in arrows(lab, layout))
    return tuple(pairs)


def _columns(layout: tuple[tuple[Cluster, ...], ...]) -> list[list[Box]]:
    columns, x = [], float(MARGIN)
    for wave in layout:
        width = max(_width(cluster) for cluster in wave)
        step = HEIGHT + ROW_GAP
        columns.append([Box(each, x, TITLE + row * step, width) for row, each in enumerate(wave)])
        x += width + COLUMN_GAP
    return columns


def _width(cluster: Cluster) -> float:
    longest = max(len(line) for line in (*_lines(cluster)[1:], cluster.label + "  "))
    return 2 * PADDING + LETTER * longest


def _lines(cluster: Cluster) -> tuple[str, str, str]:
    several = f" ({cluster.count})" if len(cluster.hosts) > 1 else ""
    return cluster.label, f"{cluster.address}{several}", cluster.roles


def _host(box: Box) -> list[str]:
    name, address, roles = _lines(box.cluster)
    size = f'width="{box.width:.0f}" height="{HEIGHT}" rx="6"'
    parts = []
    if len(box.cluster.hosts) > 1:
        parts.append(f'<rect class="stack" x="{box.x + 5:.0f}" y="{box.y + 5:.0f}" {size}/>')
    left = box.x + PADDING
    return [
        *parts,
        f'<rect class="host" x="{box.x:.0f}" y="{box.y:.0f}" {size}/>',
        _text(left, box.y + 22, "name", name),
        _text(left, box.y + 39, "address", address),
        _text(left, box.y + 55, "roles", roles),
    ]


def _arrow(source: Box, target: Box) -> str:
    """Draw from what is needed to who needs it, the way that time goes."""
    start, end = target.x + target.width, source.x - 2
    bend = COLUMN_GAP / 2
    path = (
        f"M{start:.0f} {target.middle:.0f} C{start + bend:.0f} {target.middle:.0f} "
        f"{end - bend:.0f} {source.middle:.0f} {end:.0f} {source.middle:.0f}"
    )
    return f'<path class="needs" d="{path}" marker-end="url(#head)"/>'


def _text(x: float, y: float, style: str, text: str) -> str:
    return f'<text class="{style}" x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'
