"""The cases that are kept in the history, and which of them two commits are compared by: each path of the library once or twice, few
enough to be measured often."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Tracked:
    case: str  # work/peer/size
    reference: str  # what does the least for the same work, in the same process: its time is the unit of the history's
    counted: bool = True  # whether comparisons count its instructions
    timed: bool = True  # and time it: what repeats within some percent from process to process
    repetitions: int = 12  # in each process that is timed; fewer where a repetition's preparation takes long


TRACKED = (
    Tracked("alloc_release/iobuf/64", "alloc_release/floor/64", counted=False, timed=False),
    Tracked("alloc_release/iobuf/1024", "alloc_release/floor/1024"),
    Tracked("alloc_release/iobuf/16384", "alloc_release/floor/16384"),
    Tracked("alloc_release/iobuf_so/1024", "alloc_release/floor/1024", timed=False),
    Tracked("batch/iobuf/mixed", "batch/floor/mixed"),
    Tracked("batch/iobuf_so/mixed", "batch/floor/mixed", counted=False, timed=False),
    Tracked("window/iobuf/mixed", "window/floor/mixed", timed=False),
    Tracked("cross_thread/iobuf/64", "cross_thread/floor/64"),
    Tracked("frame/iobuf/1024", "frame/floor/1024"),
    Tracked("frame_http/iobuf/mixed", "frame_http/floor/mixed", counted=False, timed=False),
    Tracked("coalesce/iobuf/64", "coalesce/floor/64", repetitions=6),
    Tracked("coalesce/iobuf/1024", "coalesce/floor/1024", repetitions=3),
    Tracked("reader/iobuf/100", "reader/floor/100"),
    Tracked("reader/iobuf/1024", "reader/floor/1024", counted=False),
    Tracked("reader_resp/iobuf/mixed", "reader_resp/floor/mixed", counted=False, timed=False),
    Tracked("pool_take/iobuf/10", "alloc_release/floor/1024", timed=False),
    Tracked("pool_take/iobuf/100000", "alloc_release/floor/1024", counted=False, timed=False),
)
