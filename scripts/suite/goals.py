"""What iobuf is to reach against its peers: the one table that `bench --peers` judges by."""
import dataclasses

MALLOCS = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
OURS, BEST = "iobuf", "best malloc"  # BEST: whichever of MALLOCS is fastest in that run
# All that can stand after --against; the ones that are no competitors tell what the machine or the code's form allows.
PEERS = (*MALLOCS, "dpdk", "libevent", "go_port", "iobuf_so", "floor")
NO_COMPETITORS = ("iobuf_so", "floor")


@dataclasses.dataclass(frozen=True)
class Goal:
    """The time of work/ours/size over that of work/against/against_size, per buffer, both in one process: less is better."""
    work: str
    size: str
    against: str
    at_most: float | None = None  # None: shown without being judged
    instructions: int | None = None  # per buffer, at most
    ours: str = OURS
    against_size: str | None = None  # None: the same size

    @property
    def other_size(self):
        return self.against_size or self.size


FAST_PATH = ("64", "256", "1024", "4096")

GOALS = (
    *(Goal("alloc_release", size, "tcmalloc", 0.37, 32) for size in FAST_PATH),
    Goal("batch", "mixed", "tcmalloc", 0.45, 42),
    Goal("window", "mixed", "tcmalloc", 0.80, 57),
    *(Goal("cross_thread", size, "dpdk", 0.95, 58) for size in ("64", "1024")),
    *(Goal("cross_thread", size, BEST, 0.25, 58) for size in ("64", "1024")),
    Goal("frame", "1024", "dpdk", 0.78),
    Goal("frame", "1024", "floor", 1.15),
    *(Goal("alloc_release", size, "tcmalloc", 1.05, 58, ours="iobuf_so") for size in FAST_PATH),
    *(Goal("coalesce", size, "floor", 2.0) for size in ("64", "1024")),
    Goal("reader_socket", "100", "glibc", 0.2),
    Goal("reader", "1024", "floor", 1.3),
    *(Goal("alloc_release", size, "floor", 1.35) for size in FAST_PATH),
    # What should not matter: free bufs in the pool, live slices, a second thread (its throughput counts: 1.9 times).
    Goal("pool_take", "100000", OURS, 1.5, against_size="10"),
    Goal("live", "1000000", OURS, against_size="4096"),
    Goal("live", "1000000", OURS, against_size="1000"),
    Goal("threads", "2", OURS, 1 / 1.9, against_size="1"),
)

# Works whose bytes held per byte live are compared with the Go package's way: iobuf may never hold more.
MEMORY_WORKS = ("window_bufs", "cross_thread_bufs")
MEMORY_AGAINST = "go_port"


def judge(value, at_most, low=None, high=None):
    """Of a value against its bound; it is exact in a direction that has no end of an interval."""
    if at_most is None:
        return ""
    if (high if high is not None else value) <= at_most:
        return "reached"
    if (low if low is not None else value) > at_most:
        return "not reached"
    return "not sure"
