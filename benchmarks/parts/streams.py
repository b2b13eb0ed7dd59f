"""A stream that is scored by a process which is killed again and again, and what came out of it.

As a program it is that process: `python -m benchmarks.parts.streams FOLDER URL BATCH`.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.clock import SystemClock
from esteira.base.databases import open_database
from esteira.data.tables import open_tables
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.serving.live.arms import load_arm
from esteira.serving.routes import Arm
from esteira.serving.stream_ledger import StreamLedger
from esteira.serving.stream_results import StreamResults, rejected_of
from esteira.serving.streaming import Limits, StreamScorer
from esteira.serving.streams import open_stream

if TYPE_CHECKING:
    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.streams.port import Stream

ROOT = Path(__file__).parents[2]
TABLE = "scores"
COLUMNS = 8
POISON_EVERY = 997  # messages
PUBLISHED = 10_000  # messages at once
LOOK_S = 0.005
PATIENCE_S = 120.0  # that nothing may move
_POISON = (b"not JSON", b'{"f0": "a text"}', b'{"stranger": 1}', b'\xff\xfe{"f0": 1}', b"[1, 2]", b"")


@dataclass(frozen=True, slots=True)
class Counted:
    """What the tables hold of the messages that were published."""

    scored: int
    rejected: int
    lost: int
    doubled: int
    wrong: int  # rows whose numbers are not those of their message


class Fixed:
    """A model that never changes."""

    def __init__(self, loaded: LoadedArm) -> None:
        self._loaded = loaded

    def current(self) -> LoadedArm:
        """The only version."""
        return self._loaded


def prepare(folder: Path, seed: int = 7) -> None:
    """A model of a few columns, as a version in the folder's artifact store."""
    import lightgbm

    chance = np.random.default_rng(seed)
    matrix = chance.random((2_000, COLUMNS)) * 1_000
    settings = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, matrix[:, 0] > 500), 20)
    signature = Signature(tuple(Column(f"f{number}") for number in range(COLUMNS)), "y")
    model = Model("lightgbm", signature, {"model.txt": booster.model_to_string().encode()})
    digest = ArtifactStore(f"file:{folder}/artifacts").put(model).digest
    (folder / "arm.json").write_text(json.dumps(asdict(Arm("champion", 1, digest, 1.0))))


def payload(number: int) -> bytes:
    """Message `number`: its id and first column tell it; now and then it cannot be scored."""
    if is_poison(number):
        return _POISON[number // POISON_EVERY % len(_POISON)]
    rest = "".join(f', "f{column}": {number % (column + 7)}' for column in range(1, COLUMNS))
    return f'{{"id": "{number}", "f0": {number % 1000}{rest}}}'.encode()


def is_poison(number: int) -> bool:
    """Whether message `number` cannot be scored."""
    return number % POISON_EVERY == POISON_EVERY - 1


def publish(stream: Stream, first: int, last: int) -> None:
    """Publish the messages from `first` up to `last`."""
    for start in range(first, last, PUBLISHED):
        numbers = range(start, min(start + PUBLISHED, last))
        stream.publish([payload(number) for number in numbers], [str(number % 50) for number in numbers])


def scorer(folder: Path, stream: Stream, batch: int) -> StreamScorer:
    """What scores a stream into the folder's tables."""
    bundles, clock = ArtifactStore(f"file:{folder}/artifacts").folder, SystemClock()
    arm = Arm(**json.loads((folder / "arm.json").read_text()))
    loaded = load_arm(arm, bundles, lambda _views: NotImplemented)
    results = StreamResults(open_tables(f"delta:{folder}/tables"), TABLE, stream.identity, "y", clock)
    return StreamScorer(stream, Fixed(loaded), results, ledger(folder, stream), Limits(batch, linger_s=0.2))


def ledger(folder: Path, stream: Stream) -> StreamLedger:
    """Where the scoring stands."""
    return StreamLedger(open_database(f"sqlite:{folder}/state.db"), TABLE, stream.identity)


def start(folder: Path, url: str, batch: int) -> subprocess.Popen[str]:
    """A process that scores until nothing is left."""
    command = [sys.executable, "-m", "benchmarks.parts.streams", str(folder), url, str(batch)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kill_until_done(folder: Path, url: str, kills: int, batch: int = 2_000, seed: int = 7) -> int:
    """Score all that was published, by processes of which so many are killed; gives how many were.

    Each is killed when it has come some way by itself; every tenth at any moment since its start.
    Raises: TimeoutError (nothing moves), ChildProcessError (one failed by itself).
    """
    chance, died = random.Random(seed), 0
    with closing(open_stream(url)) as stream:
        place, total = ledger(folder, stream), stream.behind({})
        while True:
            child = start(folder, url, batch)
            done = place.read().messages
            if died == kills:
                _awaited(child)
                return died
            if chance.random() < 0.1:
                time.sleep(chance.uniform(0, 1.5))
            else:
                share = (total - done) / (kills - died + 1)
                _wait_until(child, place, done + chance.uniform(0, 2 * share))
                time.sleep(chance.uniform(0, 0.05))
            if child.poll() is not None:
                _awaited(child)
                return died
            child.send_signal(signal.SIGKILL)
            child.communicate()
            died += 1


def _wait_until(child: subprocess.Popen[str], place: StreamLedger, messages: float) -> None:
    until = time.monotonic() + PATIENCE_S
    while child.poll() is None and place.read().messages < messages:
        if time.monotonic() > until:
            child.kill()
            raise TimeoutError(f"nothing moved for {PATIENCE_S:.0f} s")
        time.sleep(LOOK_S)


def _awaited(child: subprocess.Popen[str]) -> None:
    said, _ = child.communicate()
    if child.returncode:
        raise ChildProcessError(f"the scorer ended with exit code {child.returncode}: {said}")


def count(folder: Path, published: int) -> Counted:
    """What the tables hold of messages 0 to `published`."""
    tables = open_tables(f"delta:{folder}/tables")
    scored = tables.read(TABLE, columns=["id", "partition", "position", "vector"])
    rejected = tables.read(rejected_of(TABLE), columns=["partition", "position"])
    places = [
        rows["partition"].to_numpy().astype(np.int64) << 40 | rows["position"].to_numpy()
        for rows in (scored, rejected)
    ]
    rows, places_found = sum(map(len, places)), len(np.unique(np.concatenate(places)))
    ids = scored["id"].to_numpy().astype(np.int64)
    expected = np.array([number for number in range(published) if not is_poison(number)], np.int64)
    first = scored["vector"].combine_chunks().flatten().to_numpy().reshape(-1, COLUMNS)[:, 0]
    missing = len(expected) - len(np.intersect1d(ids, expected))
    lost = max(missing, published - places_found)
    return Counted(
        scored.num_rows, rejected.num_rows, lost, rows - places_found, int((first != ids % 1000).sum())
    )


def timed(folder: Path, url: str, batch: int = 10_000) -> float:
    """Messages a second of one scorer that nobody kills, in this process."""
    with closing(open_stream(url)) as stream:
        total, mine = stream.behind({}), scorer(folder, stream, batch)
        begun = time.perf_counter()
        mine.run(threading.Event(), until_empty=True)
        return total / (time.perf_counter() - begun)


if __name__ == "__main__":
    where, address, size = sys.argv[1:]
    with closing(open_stream(address)) as opened:
        scorer(Path(where), opened, int(size)).run(threading.Event(), until_empty=True)
