"""The cases that are compared between commits and kept in the history: each path of the library once or twice, small enough a set that
both can be often."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Tracked:
    case: str  # work/peer/size
    reference: str  # what does the least for the same work, in the same process: its time is the unit of the history's
    time: bool = True  # whether time says something that instructions do not, and repeats


TRACKED = (
    Tracked("alloc_release/iobuf/64", "alloc_release/floor/64"),
    Tracked("alloc_release/iobuf/1024", "alloc_release/floor/1024"),
    Tracked("alloc_release/iobuf/16384", "alloc_release/floor/16384"),
    Tracked("batch/iobuf/mixed", "batch/floor/mixed"),
    Tracked("window/iobuf/mixed", "window/floor/mixed"),
    Tracked("frame/iobuf/1024", "frame/floor/1024"),
    Tracked("frame_http/iobuf/mixed", "frame_http/floor/mixed"),
    Tracked("coalesce/iobuf/64", "coalesce/floor/64"),
    Tracked("coalesce/iobuf/1024", "coalesce/floor/1024"),
    Tracked("reader/iobuf/100", "reader/floor/100"),
    Tracked("reader/iobuf/1024", "reader/floor/1024"),
    Tracked("reader_resp/iobuf/mixed", "reader_resp/floor/mixed"),
    Tracked("pool_take/iobuf/100000", "alloc_release/floor/1024"),
    Tracked("cross_thread/iobuf/64", "cross_thread/floor/64"),
    Tracked("alloc_release/iobuf_so/1024", "alloc_release/floor/1024", time=False),
    Tracked("batch/iobuf_so/mixed", "batch/floor/mixed", time=False),
)


def names():
    return [tracked.case for tracked in TRACKED]
