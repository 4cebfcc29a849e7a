"""The cases whose history is kept: a line each. They are few enough to be measured at every commit, and every path of the library
that is to stay fast is in one of them."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Tracked:
    case: str  # work/peer/size
    reference: str  # what its time is divided by: the floor of the same work, else a constant of the machine
    time: bool = True  # False: time says little, as threads wait for each other or the cache decides; instructions alone count
    runs: int = 1  # of which the least count is taken, where it varies


CASES = (
    Tracked("alloc_release/iobuf/64", "alloc_release/floor/64"),
    Tracked("alloc_release/iobuf/1024", "alloc_release/floor/1024"),
    Tracked("alloc_release/iobuf/4096", "alloc_release/floor/4096"),
    Tracked("alloc_release/iobuf_so/64", "alloc_release/floor/64"),
    Tracked("alloc_release/iobuf_so/1024", "alloc_release/floor/1024"),
    Tracked("batch/iobuf/mixed", "batch/floor/mixed"),
    Tracked("batch/iobuf_so/mixed", "batch/floor/mixed"),
    Tracked("window/iobuf/mixed", "window/floor/mixed"),
    Tracked("frame/iobuf/64", "frame/floor/64"),
    Tracked("frame/iobuf/1024", "frame/floor/1024"),
    Tracked("frame/iobuf_so/1024", "frame/floor/1024"),
    Tracked("frame_http/iobuf/mixed", "frame_http/floor/mixed"),
    Tracked("coalesce/iobuf/64", "coalesce/floor/64"),
    Tracked("coalesce/iobuf/1024", "coalesce/floor/1024"),
    Tracked("reader/iobuf/100", "reader/floor/100"),
    Tracked("reader/iobuf/1024", "reader/floor/1024"),
    Tracked("reader_resp/iobuf/mixed", "reader_resp/floor/mixed"),
    Tracked("pool_take/iobuf/10", "constant/atomic_add/0"),
    Tracked("pool_take/iobuf/100000", "constant/atomic_add/0", time=False),
    Tracked("cross_thread/iobuf/1024", "cross_thread/floor/1024", time=False, runs=3),
)
BY_CASE = {one.case: one for one in CASES}
