"""Measure a sync beside emirrordist, plain copying, and what the machine can hash.

    python -m bench.mirror --cache FOLDER                     2,000 files, 4 GB
    python -m bench.mirror --cache FOLDER --files 400 --megabytes 500 --runs 1

One generated tree; its files come over loopback from nginx. Three contests: the small half of
the files, the large half, and the small ones when nothing is left to do. rclone and cp verify
nothing; the floor (bench/mirror_floor.py) receives, digests and writes, and does nothing else.
With `--huge`, crosprov also fetches one sparse file of so many megabytes, for its memory. portage
is installed from the registry into an environment of its own in the cache; rclone takes part where
it is installed. The runs of the contenders take turns.
"""

from __future__ import annotations

import argparse
import compileall
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import blake2b, md5, sha512
from pathlib import Path
from statistics import median

from bench.measure import BenchError, Command, run
from bench.payload import CONFIGURATION, free_port, started

PORTAGE = "portage==3.0.83"
SMALL = 100_000  # bytes; half of the files have fewer
JOBS = 8

_SYNC = """
import sys
from pathlib import Path
from crosprov.mirror.model import Tree
from crosprov.mirror.needs import needs_of
from crosprov.mirror.report import as_text
from crosprov.mirror.stores import open_store
from crosprov.mirror.sync_options import Options
from crosprov.mirror.sync import sync
tree, store, state, upstream = sys.argv[1:]
needs = needs_of([Tree("bench", Path(tree), True)])
options = Options(state=Path(state), workers=8, per_upstream=8)
report = sync(needs, open_store(store), [upstream], options)
print("\\n".join(as_text(report)))
sys.exit(not report.is_good)
"""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the tree."""

    name: str
    size: int
    hashes: str


@dataclass
class Scene:
    """A tree, its files behind a web server, and room for mirrors."""

    folder: Path
    name: str
    port: int
    files: Sequence[File]

    @property
    def size(self) -> int:
        """Give the bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def tree(self) -> Path:
        """Name the tree."""
        return self.folder / f"tree-{self.name}"

    def room(self, contender: str, *, empty: bool) -> Path:
        """Name a contender's mirror, emptied when wanted."""
        path = self.folder / f"mirror-{contender}-{self.name}"
        if empty and path.exists():
            _put_aside(path)
        path.mkdir(exist_ok=True)
        return path


@dataclass
class Contender:
    """Something that fills a mirror, and what its runs cost."""

    name: str
    command: Callable[[Scene, Path], Command]
    knows_rest: bool = True  # whether it can have nothing to do
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    memory: float = 0.0

    def take_turn(self, scene: Scene, *, empty: bool) -> None:
        """Fill a mirror once; raises BenchError when a file is missing afterwards."""
        room = scene.room(self.name, empty=empty)
        contest = scene.name if empty else "nothing to do"
        log = scene.folder / f"{self.name}-{contest.replace(' ', '-')}.log"
        sample = run(self.command(scene, room), log)
        self.seconds.setdefault(contest, []).append(sample.wall)
        self.cpu.setdefault(contest, []).append(sample.cpu)
        self.memory = max(self.memory, sample.largest)
        lacking = [one.name for one in scene.files if not (room / "files" / one.name).is_file()]
        if lacking:
            raise BenchError(f"{self.name} left out {len(lacking)} files, such as {lacking[0]}")


def main() -> int:
    """Run the benchmark and print its table; return 0, or 1 when it could not be finished."""
    options = _options()
    options.cache.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-mirror-", dir=options.cache) as name:
            os.chmod(name, 0o755)  # nginx's workers are another user
            print(_measure(Path(name), options), end="")
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.mirror", description="Measure a mirror's sync.")
    add = parser.add_argument
    add("--cache", type=Path, required=True, metavar="DIR", help="room for all of it, twice")
    add("--files", type=int, default=2000, metavar="N", help="files of the tree (2000)")
    add("--megabytes", type=int, default=4000, metavar="N", help="their size in all (4000)")
    add("--huge", type=int, default=0, metavar="N", help="megabytes of one sparse file (0)")
    add("--runs", type=int, default=3, metavar="N", help="runs of each (3)")
    add("--rclone", default="rclone", metavar="PATH", help="the rclone program, where it is")
    return parser.parse_args()


def _put_aside(room: Path) -> None:
    """Empty a mirror without removing files: ext4 is slow to make new ones for minutes after."""
    for path in room.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)
    room.rename(room.with_name(f"{room.name}-{os.urandom(4).hex()}"))
    os.sync()


def _measure(folder: Path, options: argparse.Namespace) -> str:
    if not shutil.which("nginx"):
        raise BenchError("nginx is needed: apt-get install nginx-light")
    port = free_port()
    small = [random.Random(n).randrange(1000, SMALL) for n in range(options.files // 2)]
    large_bytes = max(options.megabytes * 10**6 - sum(small), SMALL)
    many = min(options.files - len(small), max(1, large_bytes // SMALL))
    compileall.compile_dir(Path(__file__).parents[1] / "crosprov", quiet=1)  # as pip does
    scenes = [
        _grow(folder, "small", port, small),
        _grow(folder, "large", port, [large_bytes // many] * many),
    ]
    contenders = [
        Contender("crosprov", _crosprov),
        Contender("emirrordist", _emirrordist(_portage(options.cache))),
        *([Contender("rclone", _rclone(options.rclone))] if shutil.which(options.rclone) else []),
        Contender("cp", _cp),
        Contender("floor", _floor, knows_rest=False),
    ]
    with _nginx(folder, port):
        for _ in range(options.runs):
            for scene in scenes:
                for contender in contenders:
                    contender.take_turn(scene, empty=True)
            for contender in contenders:
                if contender.knows_rest:
                    contender.take_turn(scenes[0], empty=False)
        if options.huge:
            huge = _grow(folder, "huge", port, [options.huge * 10**6], sparse=True)
            contenders[0].take_turn(huge, empty=True)
    return _table(scenes, contenders, hash_limit())


def _grow(
    folder: Path, name: str, port: int, sizes: Sequence[int], *, sparse: bool = False
) -> Scene:
    """Write files, and the tree that needs them: two to a package, with a true cache."""
    static = folder / "static" / name
    static.mkdir(parents=True)
    alias = folder / "static" / f"upstream-{name}"
    alias.mkdir()
    (alias / "distfiles").symlink_to(static)  # as a mirror has them
    block = bytes(4 << 20) if sparse else os.urandom(4 << 20)
    files = [
        _file(static, f"{name}-{number}.tar", size, block) for number, size in enumerate(sizes)
    ]
    scene = Scene(folder, name, port, files)
    tree = scene.tree
    for path, text in {
        "profiles/repo_name": "bench\n",
        "profiles/categories": "bench\n",
        "metadata/layout.conf": "masters =\nthin-manifests = true\ncache-formats = md5-dict\n",
    }.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    cache = tree / "metadata/md5-cache/bench"
    cache.mkdir(parents=True)
    for number in range(0, len(files), 2):
        _package(tree, cache, f"package{number}", port, name, files[number : number + 2])
    return scene


def _file(static: Path, name: str, size: int, block: bytes) -> File:
    digests = blake2b(), sha512()
    head = name.encode().ljust(64) if any(block[:64]) else b""
    with (static / name).open("wb") as file:
        left = size
        while left:
            piece = (head + block)[: min(left, len(block))]
            if head:
                file.write(piece)
            for digest in digests:
                digest.update(piece)
            left -= len(piece)
        file.truncate(size)
    hashes = f"BLAKE2B {digests[0].hexdigest()} SHA512 {digests[1].hexdigest()}"
    return File(name, size, hashes)


def _package(
    tree: Path, cache: Path, package: str, port: int, where: str, files: Sequence[File]
) -> None:
    home = tree / "bench" / package
    home.mkdir(parents=True)
    lines = (f"DIST {file.name} {file.size} {file.hashes}\n" for file in files)
    (home / "Manifest").write_text("".join(lines))
    uris = " ".join(f"http://127.0.0.1:{port}/static/{where}/{file.name}" for file in files)
    ebuild = f'EAPI=8\nDESCRIPTION="x"\nSLOT="0"\nKEYWORDS="amd64"\nSRC_URI="{uris}"\n'
    (home / f"{package}-1.ebuild").write_text(ebuild)
    digest = md5(ebuild.encode(), usedforsecurity=False).hexdigest()
    entry = (
        f"DEFINED_PHASES=-\nDESCRIPTION=x\nEAPI=8\nKEYWORDS=amd64\nSLOT=0\n"
        f"SRC_URI={uris}\n_md5_={digest}\n"
    )
    (cache / f"{package}-1").write_text(entry)


def _nginx(folder: Path, port: int) -> AbstractContextManager[object]:
    (folder / "static" / "small-0").write_bytes(b"x")
    text = CONFIGURATION.format(folder=folder, port=port, static=folder / "static")
    (folder / "nginx.conf").write_text(text)
    return started("nginx", ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")], port)


def _crosprov(scene: Scene, room: Path) -> Command:
    upstream = f"http://127.0.0.1:{scene.port}/static/upstream-{scene.name}"
    words = [str(scene.tree), str(room / "files"), str(room / "state"), upstream]
    return Command((sys.executable, "-c", _SYNC, *words), Path(__file__).parent.parent, {})


def _portage(cache: Path) -> Path:
    """Install portage into an environment of its own, once; give emirrordist."""
    program = cache / "portage" / "bin" / "emirrordist"
    if not program.exists():
        venv.create(cache / "portage", with_pip=True)
        pip = [str(cache / "portage/bin/pip"), "install", "-q", PORTAGE]
        if subprocess.run(pip, stdin=subprocess.DEVNULL).returncode:
            raise BenchError(f"{PORTAGE} could not be installed")
    return program


def _emirrordist(program: Path) -> Callable[[Scene, Path], Command]:
    def command(scene: Scene, room: Path) -> Command:
        for name in ("files", "temp", "root"):
            (room / name).mkdir(exist_ok=True)
        repositories = f"[DEFAULT]\nmain-repo = bench\n[bench]\nlocation = {scene.tree}\n"
        words = [
            f"--distfiles={room}/files", f"--temp-dir={room}/temp", f"--jobs={JOBS}",
            f"--config-root={room}/root", f"--repositories-configuration={repositories}",
            "--repo=bench", "--mirror", "--verify-existing-digest",
        ]  # fmt: skip
        return Command((str(program.parent / "python"), str(program), *words), room, {})

    return command


def _rclone(program: str) -> Callable[[Scene, Path], Command]:
    def command(scene: Scene, room: Path) -> Command:
        names = room / "names"
        names.write_text("".join(f"{file.name}\n" for file in scene.files))
        words = [
            "copy", f":http,url='http://127.0.0.1:{scene.port}/static/{scene.name}/':",
            str(room / "files"), f"--files-from={names}", "--no-traverse",
            f"--transfers={JOBS}", "--config=",
        ]  # fmt: skip
        return Command((program, *words), room, {})

    return command


def _floor(scene: Scene, room: Path) -> Command:
    names = room / "names"
    names.write_text("".join(f"{file.name}\n" for file in scene.files))
    (room / "files").mkdir(exist_ok=True)
    url = f"http://127.0.0.1:{scene.port}/static/{scene.name}"
    words = ["-m", "bench.mirror_floor", url, str(names), str(room / "files")]
    return Command((sys.executable, *words), Path(__file__).parent.parent, {})


def _cp(scene: Scene, room: Path) -> Command:
    source = f"{scene.folder}/static/{scene.name}"
    return Command(("cp", "-ru", f"{source}/.", f"{room}/files"), room, {})


def hash_limit(megabytes: int = 400) -> float:
    """Measure the bytes per second that all processors digest with both of today's hashes."""
    piece = os.urandom(1 << 20)

    def work(make: Callable[[], object], count: int) -> None:
        digest = make()
        for _ in range(count):
            digest.update(piece)  # type: ignore[attr-defined]

    lanes = [make for _ in range(max(1, (os.cpu_count() or 2) // 2)) for make in (blake2b, sha512)]
    count = megabytes * 2 // len(lanes)
    threads = [threading.Thread(target=work, args=(make, count)) for make in lanes]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count * len(piece) * len(lanes) / 2 / (time.monotonic() - begun)


def _table(scenes: Sequence[Scene], contenders: Sequence[Contender], limit: float) -> str:
    small, large = scenes
    lines = [
        f"| {len(small.files)} small files of {small.size / 1e6:.0f} MB, "
        f"{len(large.files)} large of {large.size / 1e6:.0f} MB "
        "| small, files/s (CPU s) | large, MB/s (CPU s) | nothing to do, s | memory, MB |",
        "|---|---|---|---|---|",
    ]
    for one in contenders:
        taken = {contest: median(values) for contest, values in one.seconds.items()}
        cpu = {contest: median(values) for contest, values in one.cpu.items()}
        rest = f"{taken['nothing to do']:.2f}" if one.knows_rest else ""
        lines.append(
            f"| {one.name} | {len(small.files) / taken['small']:.0f} ({cpu['small']:.1f}) "
            f"| {large.size / 1e6 / taken['large']:.0f} ({cpu['large']:.1f}) "
            f"| {rest} | {one.memory:.0f} |"
        )
    ours, theirs = contenders[0].seconds, contenders[1].seconds
    pairs = zip(ours["small"], theirs["small"], strict=True)
    ratio = median(other / own for own, other in pairs)
    share, floor = (
        large.size / median(one.seconds["large"]) / limit for one in (contenders[0], contenders[-1])
    )
    lines += [
        "",
        f"Small files: {ratio:.1f} times emirrordist's rate, pair by pair. Large files: "
        f"{share:.2f} of what the machine hashes ({limit / 1e6:.0f} MB/s, BLAKE2B and SHA512); the "
        f"floor reaches {floor:.2f} of it.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
